"""Logits and boxes of a batch -> the detections of each picture, without a step that waits for the device.

the best label of each patch -> over its threshold -> NMS, where asked for -> the best of each picture, one table

Equal to transformers' `post_process_grounded_object_detection`, which keeps the best label of a patch as well and runs
no NMS. Dropped boxes stay in the table with a score below zero, so that its shape is known beforehand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import batched_nms

DROPPED = -1.0


@dataclass(frozen=True, slots=True)
class Ask:
    """What one picture is asked for: the least score of each query, overlap for NMS (None: none), most detections."""

    thresholds: tuple[float, ...]
    iou: float | None
    limit: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """The same for `n` pictures: thresholds [n, max q], infinite beyond a picture's own queries."""

    thresholds: Tensor
    ious: tuple[float | None, ...]
    limit: int

    @classmethod
    def of(cls, asks: Sequence[Ask], device: torch.device) -> Self:
        """The wishes of a batch; `limit` is the largest, since each picture is cut to its own on the host."""
        thresholds = pad_sequence([torch.tensor(ask.thresholds) for ask in asks], True, torch.inf)
        return cls(thresholds.to(device), tuple(ask.iou for ask in asks), max(ask.limit for ask in asks))


def select(logits: Tensor, boxes: Tensor, wanted: Wanted) -> Tensor:
    """Logits [n, p, q] and boxes [n, p, 4] -> [n, k, 6]: corners, score, query; each picture by falling score."""
    best, queries = logits.max(dim=-1)
    scores = best.sigmoid()
    scores = scores.where(scores >= wanted.thresholds.gather(1, queries), DROPPED)
    for iou in sorted({iou for iou in wanted.ious if iou is not None}):
        asked = torch.tensor([own == iou for own in wanted.ious], device=scores.device)
        scores = _suppress(boxes, scores, asked, iou)
    scores, order = scores.sort(dim=1, descending=True, stable=True)
    scores, order = scores[:, : wanted.limit], order[:, : wanted.limit]
    boxes = boxes.gather(1, order[..., None].expand(-1, -1, 4))
    queries = queries.gather(1, order)
    return torch.cat([boxes, scores[..., None], queries[..., None].to(scores)], dim=-1)


def _suppress(boxes: Tensor, scores: Tensor, asked: Tensor, iou: float) -> Tensor:
    """`scores` after one NMS, whatever the label, within each of the pictures that `asked` [n] for it.

    In double precision, because torchvision shifts each picture aside to run all in one go.
    """
    images, patches = ((scores > DROPPED) & asked[:, None]).nonzero(as_tuple=True)
    keep = batched_nms(boxes[images, patches].double(), scores[images, patches].double(), images, iou)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept[images[keep], patches[keep]] = True
    return scores.where(kept | ~asked[:, None], DROPPED)
