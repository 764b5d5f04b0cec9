"""Detectors with random weights, torchvision's answers with the same weights, and when two answers are the same."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from services.detection.architectures import DetectorConfig
from services.detection.model import Detector, Item, Parameters
from services.detection.weights import State
from shared.images.detections import Detection, Detections
from tests.services.detection.random_networks import as_float, config, encoded, picture, random_network

torch.set_num_threads(1)

CPU = torch.device("cpu")
PIXELS, SCORE = 0.01, 1e-5  # how far a box and a score may lie from torchvision's
LIMIT = 50  # detections of a picture that are compared
ALL = Parameters(threshold=0.0, max_detections=LIMIT)
# Two of one padded size, one upright, one flat: three runs of an R-CNN, one of an SSD.
PICTURES = [picture(0, 120, 160), picture(1, 122, 160), picture(2, 160, 120), picture(3, 60, 200)]
FILES = [encoded(pixels) for pixels in PICTURES]
TINY = {name: config(name) for name in ("tiny-ssd", "tiny-faster-rcnn", "tiny-mask-rcnn")}
FULL_SIZE = {
    "ssd300_vgg16": config("ssd300_vgg16"),
    "ssdlite320_mobilenet_v3_large": config("ssdlite320_mobilenet_v3_large"),
    "fasterrcnn_resnet50_fpn_v2": config("fasterrcnn_resnet50_fpn_v2", min_size=96, max_size=160),
    "maskrcnn_resnet50_fpn_v2": config("maskrcnn_resnet50_fpn_v2", min_size=96, max_size=160),
}
CONFIGS = TINY | FULL_SIZE


@cache
def network(name: str) -> Any:
    """The random network of a name in `CONFIGS`, never changed by a test."""
    return random_network(CONFIGS[name])


def detector_of(config: DetectorConfig, module: Any, dtype: torch.dtype = torch.float32) -> Detector:
    """A detector with a copy of `module`: taking it over may change its memory format and number type."""
    detector = Detector(CPU, dtype)
    detector.use(State(config, copy.deepcopy(module), ()))
    return detector


@cache
def detector(name: str) -> Detector:
    """A detector with a copy of `network(name)`."""
    return detector_of(CONFIGS[name], network(name))


def run(detector: Detector, files: Sequence[bytes], *parameters: Parameters) -> list[Detections]:
    """The answers to `files` as one batch; one set of parameters for all, or one each."""
    each = parameters if len(parameters) > 1 else parameters * len(files)
    features = [detector.preprocess(Item(data, own)) for data, own in zip(files, each, strict=True)]
    return list(detector.predict(features))


def bare(module: Any, *pictures: Any) -> list[Detections]:
    """What torchvision finds in the pictures, in one batch."""
    with torch.inference_mode():
        found = module([as_float(pixels) for pixels in pictures])
    return [_detections(one, *pixels.shape[:2]) for one, pixels in zip(found, pictures, strict=True)]


def _detections(found: dict[str, Tensor], height: int, width: int) -> Detections:
    masks = [(mask[0] > 0.5).numpy() for mask in found["masks"]] if "masks" in found else [None] * LIMIT
    rows = zip(found["boxes"].tolist(), found["labels"].tolist(), found["scores"].tolist(), masks, strict=False)
    items = [Detection(tuple(box), f"class {label}", label, score, mask) for box, label, score, mask in rows]
    return Detections(width, height, tuple(items[:LIMIT]))


def assert_same(found: Detections, expected: Detections) -> None:
    """Equal within the tolerance; detections whose scores are equal within it may have changed places."""
    assert (found.width, found.height) == (expected.width, expected.height)
    assert [one.score for one in found.items] == pytest.approx([one.score for one in expected.items], abs=SCORE)
    left = list(expected.items)
    last = left[-1].score if left else 0.0
    for one in found.items:
        match = next((other for other in left if _same(one, other)), None)
        assert match is not None or one.score < last + SCORE, f"{one} has no counterpart"
        if match is not None:
            left.remove(match)


def _same(one: Detection, other: Detection) -> bool:
    return (
        one.label == other.label
        and one.label_id == other.label_id
        and abs(one.score - other.score) <= SCORE
        and bool(np.allclose(one.box, other.box, rtol=0, atol=PIXELS))
        and (one.mask is None or other.mask is None or np.array_equal(one.mask, other.mask))
    )
