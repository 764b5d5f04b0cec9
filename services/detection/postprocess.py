"""From scored boxes to detections, for a whole batch at once: one row per box, its picture told by a column.

    scores over the picture's thresholds -> clip, drop the empty -> one NMS -> the best of each picture

torchvision does the same steps picture by picture and class by class; the results are equal. A threshold before NMS
equals one after it, because NMS lets no box be suppressed by one of a lower score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from services.detection.parameters import Wanted


@dataclass(frozen=True, slots=True)
class Candidates:
    """Scored boxes of a batch, one per row.

    boxes   [m, 4]  x0, y0, x1, y1 in pixels of the network's input
    scores  [m]     probability of the label
    labels  [m]     class id, 1-based
    images  [m]     index of the picture in the batch
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    images: Tensor

    def __getitem__(self, rows: Tensor) -> "Candidates":
        return Candidates(self.boxes[rows], self.scores[rows], self.labels[rows], self.images[rows])


def clip(boxes: Tensor, sizes: Tensor) -> Tensor:
    """`boxes` [m, 4] cut at the borders of their pictures, `sizes` [m, 2] as height and width."""
    return torch.minimum(boxes.clamp(min=0), sizes.flip(1).repeat(1, 2))


def with_extent(boxes: Tensor, least: float) -> Tensor:
    """Whether each of `boxes` [m, 4] is at least `least` pixels wide and high."""
    return (boxes[:, 2:] - boxes[:, :2] >= least).all(1)


def grouped_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Rows that greedy NMS keeps when only boxes of one group suppress each other, by falling score.

    In double precision: torchvision may shift each group aside to run all in one go, and in single precision a shift
    of a million pixels (8 pictures of 91 classes) moves borders by a sixteenth of a pixel.
    """
    keep: Tensor = batched_nms(boxes.double(), scores.double(), groups, iou)
    return keep


def best_of_each(scores: Tensor, groups: Tensor, limits: Tensor) -> Tensor:
    """Rows of the `limits[g]` highest scores of each group g, by group and then by falling score."""
    order = scores.argsort(descending=True, stable=True)
    order = order[groups[order].argsort(stable=True)]
    groups = groups[order]
    counts = groups.bincount(minlength=len(limits))
    starts = counts.cumsum(0) - counts
    ranks = torch.arange(len(order), device=order.device) - starts[groups]
    return order[ranks < limits[groups]]


def select(found: Candidates, wanted: Wanted) -> Candidates:
    """What is left of `found` after NMS within each class of each picture and the limit of each picture.

    Ordered by picture and then by falling score. One NMS per distinct threshold, so one in nearly every batch.
    """
    groups = found.images * wanted.thresholds.shape[1] + found.labels
    kept = []
    for iou in sorted(set(wanted.ious)):
        rows = rows_of(found.images, [iou == own for own in wanted.ious])
        kept.append(rows[grouped_nms(found.boxes[rows], found.scores[rows], groups[rows], iou)])
    rows = torch.cat(kept)
    return found[rows[best_of_each(found.scores[rows], found.images[rows], wanted.limits)]]


def rows_of(images: Tensor, taken: Sequence[bool]) -> Tensor:
    """Rows whose picture is `taken`, in their order; `images` [m] tells the picture of each row."""
    return torch.tensor(taken, device=images.device)[images].nonzero().squeeze(1)
