"""Golden cases of a taught OWL-ViT: pictures of its own data, and what transformers' own code finds in them.

A picture is chosen only if its scores leave a wide gap, in whose middle the threshold stands: rounding on another
device may not turn an answer.
"""

import json
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import torch
from PIL import Image
from transformers import Owlv2ForObjectDetection, Owlv2Processor, OwlViTForObjectDetection, OwlViTProcessor
from transformers.utils import logging

from services.finetune.data.examples import DetectionExample
from services.finetune.demo.owlvit_golden import detect
from services.finetune.owlvit.evaluation import named
from services.finetune.towers.shown import thumbnail
from services.owlvit.model import OwlVit
from services.owlvit.phrases import SLOT

CASES = 3
CANDIDATES = 40  # pictures looked at before we give up
LABELS = 6
GAP = 0.25  # between the scores above the threshold and those below
FAINTEST = 0.02
FAMILIES: dict[str, tuple[Any, Any]] = {
    "owlvit": (OwlViTForObjectDetection, OwlViTProcessor),
    "owlv2": (Owlv2ForObjectDetection, Owlv2Processor),
}


class Case(NamedTuple):
    """A picture, what it is asked for, and what it must answer."""

    picture: Image.Image
    labels: list[str]
    threshold: float
    objects: list[dict[str, Any]]


def write_golden(version: Path, served: OwlVit, examples: Sequence[DetectionExample]) -> int:
    """Write golden.json and its pictures into a version's directory; returns their number, 0 for a version in doubt."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    (version / "golden").mkdir()
    cases = []
    for number, case in enumerate(islice(_clear(version, served, examples), CASES)):
        name = f"golden/{number}.png"
        case.picture.save(version / name, optimize=True)
        cases.append({"image": name, "labels": case.labels, "threshold": case.threshold, "objects": case.objects})
    (version / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")
    return len(cases)


def _clear(version: Path, served: OwlVit, examples: Sequence[DetectionExample]) -> Iterator[Case]:
    state = served.serving.state
    network, processors = FAMILIES[state.pretrained.config.model_type]
    model = network.from_pretrained(version, dtype=torch.float32, local_files_only=True)
    processor, names = processors.from_pretrained(version, local_files_only=True), named(examples)
    for number, example in enumerate(examples[:: max(1, len(examples) // CANDIDATES)]):
        picture = thumbnail(example.picture)
        labels = [state.defaults.template.replace(SLOT, name) for name in _asked(example, names, Random(number))]
        found = detect(model, processor, picture=picture, labels=labels, threshold=FAINTEST)
        low, high = widest_gap([one["score"] for one in found])
        if high - low >= GAP:
            threshold = round((low + high) / 2, 3)
            yield Case(picture, labels, threshold, [one for one in found if one["score"] > threshold])


def widest_gap(scores: Sequence[float]) -> tuple[float, float]:
    """The two neighbours among the `scores`, and 0, that lie furthest apart; equal where there is no score."""
    ordered = sorted([0.0, *scores])
    return max(pairwise(ordered), key=lambda pair: pair[1] - pair[0], default=(0.0, 0.0))


def _asked(example: DetectionExample, names: Sequence[str], rng: Random) -> list[str]:
    """The names of what is there and of something that is not, in any order."""
    there = sorted(set(example.labels))
    others = [name for name in names if name not in there]
    asked = there + rng.sample(others, max(0, min(len(others), LABELS - len(there))))
    rng.shuffle(asked)
    return asked
