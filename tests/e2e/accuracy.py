"""How well the served demo models find what they were never shown: through HTTP, on held-out scenes.

    python -m tests.e2e.accuracy --url http://127.0.0.1:8000 --scenes 300

Scenes come from a seed that no recipe uses. Figures are COCO's mAP and mAP50, and the mean IoU of masks.
"""

from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from torchmetrics.detection import MeanAveragePrecision

from services.finetune.demo.scenes import World, scenes
from tests.e2e import command, held_out
from tests.e2e.held_out import SEED

MODELS = ("ssd", "faster-rcnn", "mask-rcnn")


def measure(client: httpx.Client, model: str, count: int) -> dict[str, float]:
    """mAP, mAP50 and, where the model finds masks, mean mask IoU, over `count` scenes asked for one by one."""
    average = MeanAveragePrecision(iou_type="bbox", backend="faster_coco_eval")
    overlaps: list[float] = []
    for data, masks in _pictures(count):
        answer = client.post(
            "/v1/detect", params={"model": model, "threshold": 0}, content=data, headers={"content-type": "image/png"}
        )
        found, ids = answer.raise_for_status().json()["data"], masks["labels"]
        average.update([_tensors(found)], [{"boxes": masks["boxes"], "labels": ids}])
        overlaps += _mask_overlaps([item for item in found if item["score"] > 0.5], masks["masks"])
    computed = average.compute()
    figures = {"mAP": float(computed["map"]), "mAP50": float(computed["map_50"])}
    return figures | ({"mask IoU": float(np.mean(overlaps))} if overlaps else {})


def _pictures(count: int) -> Iterator[tuple[bytes, dict[str, Any]]]:
    names = World().shapes
    for scene in scenes(World(), seed=SEED, count=count):
        labels = torch.tensor([names.index(thing.shape) + 1 for thing in scene.things])
        true = {"boxes": held_out.boxes(scene), "labels": labels, "masks": held_out.masks(scene)}
        yield held_out.picture(scene), true


def _tensors(found: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    corners = [[item["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")] for item in found]
    return {
        "boxes": torch.tensor(corners).reshape(-1, 4),
        "scores": torch.tensor([item["score"] for item in found]),
        "labels": torch.tensor([item["label_id"] for item in found], dtype=torch.int64),
    }


def _mask_overlaps(found: list[dict[str, Any]], masks: Any) -> list[float]:
    """The IoU of each true mask with the found one that fits it best; 0 where none does."""
    if not found or "mask" not in found[0]:
        return []
    drawn = [coco_mask.decode({**f["mask"], "counts": f["mask"]["counts"].encode()}) for f in found]
    return [max(float((d & m).sum() / (d | m).sum()) for d in drawn) for m in masks]


def report(client: httpx.Client, count: int) -> Iterator[str]:
    """One line per model."""
    for model in MODELS:
        figures = measure(client, model, count)
        yield f"{model:<12} " + "  ".join(f"{name} {value:.3f}" for name, value in figures.items())


if __name__ == "__main__":
    command.run(__doc__, report, unit="scenes", count=300)
