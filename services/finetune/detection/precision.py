"""COCO's average precision and recall, over all classes and for each (https://cocodataset.org/#detection-eval)."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision

from services.finetune.data.examples import DetectionExample
from services.finetune.data.masks import raster
from services.finetune.task import Curve
from shared.images.detections import Detections, Mask

HALF = 0  # IoU of .5, the first of COCO's ten
ALL_SIZES, HUNDRED = 0, -1  # of all areas, with up to a hundred detections a picture
NAMES = {"ap": "map", "ap50": "map_50", "ap75": "map_75", "ar": "mar_100"}


class Precision:
    """Gathers answers and the truth about them; boxes are always compared, masks where both have them."""

    def __init__(self, ids: Mapping[str, int], *, masks: bool) -> None:
        self._ids, self._masks = ids, masks
        kinds: tuple[Literal["bbox", "segm"], ...] = ("bbox", "segm") if masks else ("bbox",)
        self._metric = MeanAveragePrecision(
            iou_type=kinds,
            extended_summary=True,
            backend="faster_coco_eval",
            sync_on_compute=False,  # of several processes the first judges alone, and must not wait for others
        )
        self._metric.warn_on_many_detections = False

    def add(self, example: DetectionExample, found: Detections) -> None:
        """One picture."""
        ours = {
            "boxes": torch.tensor([one.box for one in found.items]).reshape(-1, 4),
            "scores": torch.tensor([one.score for one in found.items]),
            "labels": torch.tensor([self._ids[one.label] for one in found.items], dtype=torch.int64),
        }
        truth = {
            "boxes": torch.tensor(example.boxes).reshape(-1, 4),
            "labels": torch.tensor([self._ids[label] for label in example.labels], dtype=torch.int64),
        }
        if self._masks:
            ours["masks"] = _stacked([one.mask for one in found.items if one.mask is not None], example.size)
            truth["masks"] = _stacked([raster(one, example.size) for one in example.masks or ()], example.size)
        self._metric.update([ours], [truth])

    def compute(self) -> tuple[dict[str, float], list[Curve]]:
        """The scores, and precision over recall at an IoU of .5 for each class that the truth has."""
        found = self._metric.compute()
        prefix = "bbox_" if self._masks else ""
        scores = {ours: _score(found[prefix + theirs]) for ours, theirs in NAMES.items()}
        if self._masks:
            scores |= {"mask_ap": _score(found["segm_map"]), "mask_ap50": _score(found["segm_map_50"])}
        names = {number: label for label, number in self._ids.items()}
        classes, lines = found["classes"].reshape(-1).tolist(), found[f"{prefix}precision"]
        curves = [
            Curve(names[number], self._metric.rec_thresholds, line.tolist())
            for number, line in zip(classes, lines[HALF, :, :, ALL_SIZES, HUNDRED].T, strict=True)
            if (line >= 0).all()  # -1: the truth has no such class
        ]
        return scores | {f"ap50/{curve.name}": float(np.mean(curve.y)) for curve in curves}, curves


def _score(value: Tensor) -> float:
    """-1 stands for no truth at all."""
    return max(0.0, float(value))


def _stacked(masks: Sequence[Mask], size: tuple[int, int]) -> Tensor:
    return torch.from_numpy(np.stack(masks) if masks else np.zeros((0, size[1], size[0]), dtype=np.bool_))
