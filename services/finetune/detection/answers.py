"""What a version answers to the pictures of some examples, through the very model class that serves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from services.detection.model import Detector, Item, Parameters
from services.finetune.data.examples import DetectionExample
from shared.images.detections import Detections

BATCH = 8
MOST = 100  # detections of a picture, as COCO counts
CPU = torch.device("cpu")

Answered = tuple[DetectionExample, Detections]


def detector(version: Path, device: torch.device = CPU) -> Detector:
    """The detector of a version directory, which may lack its manifest and golden cases."""
    made = Detector(device)
    made.use(made.read(version))
    return made


def answers(detector: Detector, examples: Sequence[DetectionExample], *, masks: bool = False) -> Iterator[Answered]:
    """Each example with all that is found in its picture, however unlikely; a request can ask for the same."""
    asked = Parameters(threshold=0.0, max_detections=MOST, masks=masks)
    for first in range(0, len(examples), BATCH):
        batch = examples[first : first + BATCH]
        features = [detector.preprocess(Item(example.picture.read(), asked)) for example in batch]
        yield from zip(batch, detector.predict(features), strict=True)
