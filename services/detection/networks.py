"""The two kinds of detector, run on a batch: torchvision's modules, without its loops over pictures.

SingleStage (SSD)     backbone -> heads -> scores and offsets of the default boxes -> select
TwoStage (R-CNN)      backbone -> proposals -> heads on each proposal -> select -> masks, where asked for

The convolutions run in the network's number type; boxes, scores and NMS are always float32.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import concat_box_prediction_layers

from services.detection.parameters import Wanted
from services.detection.postprocess import Candidates, best_of_each, clip, grouped_nms, rows_of, select, with_extent

SMALLEST_BOX = 1e-2  # pixels; torchvision's RoIHeads drop what is smaller


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures of one padded size: `pixels` [n, 3, h, w] float32, `sizes` [n, 2] before padding, and what is wanted."""

    pixels: Tensor
    sizes: Tensor
    wanted: Wanted

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def padded(self) -> tuple[int, int]:
        """Height and width of the network's input."""
        return self.pixels.shape[2], self.pixels.shape[3]


class Network(Protocol):
    """A detector on its device: its number type, its own thresholds, and whether it finds masks."""

    dtype: torch.dtype
    floor: float
    iou: float
    finds_masks: bool

    def detect(self, batch: Batch) -> tuple[Candidates, Tensor | None]:
        """Detections ordered by picture and score, and the mask probabilities [k, m, m] of those that want masks."""


def place(module: nn.Module, device: torch.device, dtype: torch.dtype) -> Network:
    """Move a torchvision detector to `device` and make it run in `dtype`.

    On a CPU the R-CNN family stays in float32 whatever `dtype` says: its second stage reads the features only where
    the first one points, and in bfloat16 the first one points elsewhere (a third of the boxes was found again).
    """
    if hasattr(module, "roi_heads"):
        return TwoStage(module.to(device), torch.float32 if device.type == "cpu" else dtype)
    return SingleStage(module.to(device), dtype)


class SingleStage:
    """SSD: every default box gets a score per class and an offset, in one pass."""

    finds_masks = False

    def __init__(self, ssd: Any, dtype: torch.dtype) -> None:
        self.ssd, self.dtype = ssd, dtype
        self.floor, self.iou = float(ssd.score_thresh), float(ssd.nms_thresh)
        for part in (ssd.backbone, ssd.head):
            # Channels last, because oneDNN and cuDNN then need no copies between layers.
            part.to(dtype=dtype, memory_format=torch.channels_last)
            _keep_norms_exact(part)

    def detect(self, batch: Batch) -> tuple[Candidates, None]:
        """Detections ordered by picture and score; never a mask."""
        pixels = batch.pixels.to(self.dtype, memory_format=torch.channels_last)
        maps = list(self.ssd.backbone(pixels).values())
        heads = self.ssd.head(maps)
        scores = heads["cls_logits"].float().softmax(-1)
        offsets = heads["bbox_regression"].float()
        found = self._candidates(scores, offsets, _anchors(self.ssd.anchor_generator, batch, maps), batch)
        return select(found, batch.wanted), None

    def _candidates(self, scores: Tensor, offsets: Tensor, anchors: Tensor, batch: Batch) -> Candidates:
        """At most `topk_candidates` boxes of each class of each picture; `scores` [n, anchors, classes]."""
        images, rows, labels = (scores >= batch.wanted.thresholds[:, None]).nonzero(as_tuple=True)
        classes = scores.shape[2]
        limits = torch.full((len(batch) * classes,), self.ssd.topk_candidates, device=scores.device)
        scores = scores[images, rows, labels]
        top = best_of_each(scores, images * classes + labels, limits)
        images, rows, labels, scores = images[top], rows[top], labels[top], scores[top]
        boxes = self.ssd.box_coder.decode_single(offsets[images, rows], anchors[rows])
        return Candidates(clip(boxes, batch.sizes[images]), scores, labels, images)


class TwoStage:
    """Faster and Mask R-CNN: the first stage proposes boxes, the second looks at the features inside each."""

    def __init__(self, rcnn: Any, dtype: torch.dtype) -> None:
        self.rcnn, self.dtype = rcnn, dtype
        self.floor, self.iou = float(rcnn.roi_heads.score_thresh), float(rcnn.roi_heads.nms_thresh)
        self.finds_masks = bool(rcnn.roi_heads.has_mask())

    def detect(self, batch: Batch) -> tuple[Candidates, Tensor | None]:
        """Detections ordered by picture and score, and the mask probabilities of those that want masks."""
        with torch.autocast(batch.pixels.device.type, self.dtype, enabled=self.dtype != torch.float32):
            maps = self.rcnn.backbone(batch.pixels)
            proposals, images = self._propose(list(maps.values()), batch)
            detections = select(self._candidates(maps, proposals, images, batch), batch.wanted)
            masks = self._masks(maps, detections, batch) if any(batch.wanted.masks) else None
        return detections, masks

    def _propose(self, maps: list[Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Boxes [p, 4] that may hold an object, and the picture of each; ordered by picture and score."""
        rpn = self.rcnn.rpn
        logits, offsets = rpn.head(maps)
        per_level = [level[0].numel() for level in logits]
        logits, offsets = concat_box_prediction_layers(logits, offsets)
        logits, offsets = logits.float().view(len(batch), -1), offsets.float().view(len(batch), -1, 4)
        top, levels = _best_of_levels(logits, per_level, rpn.pre_nms_top_n())
        images = torch.arange(len(batch), device=top.device).repeat_interleave(top.shape[1])
        rows = top.flatten()
        scores = logits[images, rows].sigmoid()
        anchors = _anchors(rpn.anchor_generator, batch, maps)
        boxes = clip(rpn.box_coder.decode_single(offsets[images, rows], anchors[rows]), batch.sizes[images])
        fit = (with_extent(boxes, rpn.min_size) & (scores >= rpn.score_thresh)).nonzero().squeeze(1)
        groups = images * len(per_level) + levels.repeat(len(batch))
        keep = fit[grouped_nms(boxes[fit], scores[fit], groups[fit], rpn.nms_thresh)]
        limits = torch.full((len(batch),), rpn.post_nms_top_n(), device=keep.device)
        keep = keep[best_of_each(scores[keep], images[keep], limits)]
        return boxes[keep], images[keep]

    def _candidates(self, maps: dict[str, Tensor], proposals: Tensor, images: Tensor, batch: Batch) -> Candidates:
        heads = self.rcnn.roi_heads
        pooled = _pool(heads.box_roi_pool, maps, proposals, images, batch)
        logits, offsets = heads.box_predictor(heads.box_head(pooled))
        scores = logits.float().softmax(-1)
        rows, labels = (scores >= batch.wanted.thresholds[images]).nonzero(as_tuple=True)
        offsets = offsets.float().unflatten(1, (-1, 4))[rows, labels]
        boxes = clip(heads.box_coder.decode_single(offsets, proposals[rows]), batch.sizes[images[rows]])
        found = Candidates(boxes, scores[rows, labels], labels, images[rows])
        return found[with_extent(boxes, SMALLEST_BOX).nonzero().squeeze(1)]

    def _masks(self, maps: dict[str, Tensor], detections: Candidates, batch: Batch) -> Tensor:
        heads = self.rcnn.roi_heads
        asked = detections[rows_of(detections.images, batch.wanted.masks)]
        pooled = _pool(heads.mask_roi_pool, maps, asked.boxes, asked.images, batch)
        logits: Tensor = heads.mask_predictor(heads.mask_head(pooled))
        return logits[torch.arange(len(logits), device=logits.device), asked.labels].float().sigmoid()


def _best_of_levels(logits: Tensor, per_level: Sequence[int], limit: int) -> tuple[Tensor, Tensor]:
    """Columns of the `limit` highest of each picture's `logits` [n, anchors] on each level, and their levels."""
    starts = torch.tensor([0, *per_level]).cumsum(0).tolist()
    tops = [
        level.topk(min(limit, level.shape[1]), dim=1).indices + start
        for level, start in zip(torch.split(logits, list(per_level), dim=1), starts, strict=False)
    ]
    levels = [torch.full((top.shape[1],), number, device=top.device) for number, top in enumerate(tops)]
    return torch.cat(tops, dim=1), torch.cat(levels)


def _pool(pool: nn.Module, maps: dict[str, Tensor], boxes: Tensor, images: Tensor, batch: Batch) -> Tensor:
    """Features inside each box. The pool is told the padded size: it keeps the scales that it derives from the first
    batch for good, and a very flat first picture would derive wrong ones from its own size."""
    counts = images.bincount(minlength=len(batch)).tolist()
    pooled: Tensor = pool(maps, list(torch.split(boxes, counts)), [batch.padded] * len(batch))
    return pooled


def _anchors(generator: nn.Module, batch: Batch, maps: Sequence[Tensor]) -> Tensor:
    """Anchors [a, 4] of one picture, the same for all of a batch; in float32, whatever type the maps have."""
    shapes = [level.new_empty((0, 0, *level.shape[2:]), dtype=torch.float32) for level in maps]
    (anchors,) = generator(ImageList(batch.pixels, [batch.padded]), shapes)
    return anchors  # type: ignore[no-any-return]


def _keep_norms_exact(part: nn.Module) -> None:
    """Running statistics lose their digits in bfloat16, and the kernels take them in float32 beside such maps."""
    for layer in part.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.float()
