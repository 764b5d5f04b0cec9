"""Golden cases: pictures in the version, and what the job's own model found in them for a list of labels.

Serving must find the same objects, or the weights are refused.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from torchvision.ops import box_iou

from services.owlvit.queries import Item, Label, Parameters, TextQuery
from shared.images.detections import Detection, Detections
from shared.serving.model import Case

OVERLAP = 0.9  # least IoU of a box with the one expected
SCORE = 0.05  # bfloat16 moves scores by less


class GoldenObject(BaseModel):
    """One expected object; `box` is x0, y0, x1, y1 in pixels of the picture."""

    model_config = ConfigDict(frozen=True)

    box: tuple[float, float, float, float]
    label: str
    score: float


class Golden(BaseModel):
    """One picture, by its path in the version, and all that `labels`, put into `template`, find in it."""

    model_config = ConfigDict(frozen=True)

    image: Annotated[str, Field(pattern=r"^golden/[\w-]+\.png$")]
    labels: tuple[str, ...] = Field(min_length=1)
    threshold: float
    objects: tuple[GoldenObject, ...]
    template: str = "{}"


_GOLDENS = TypeAdapter(tuple[Golden, ...])


def read_golden(version: Path) -> tuple[Case[Item, Detections], ...]:
    """The golden cases of a version directory; none if it has no `golden.json`.

    Raises pydantic's `ValidationError` for a file of another form, `OSError` for a picture that is not there.
    """
    file = version / "golden.json"
    goldens = _GOLDENS.validate_json(file.read_bytes()) if file.exists() else ()
    return tuple(_case(version, golden) for golden in goldens)


def difference(expected: Sequence[GoldenObject], found: Detections) -> str | None:
    """What is wrong with `found`, or None: each expected object once, and nothing else."""
    left = list(found.items)
    for one in expected:
        match = max(left, key=partial(_likeness, one), default=None)
        if match is None or _likeness(one, match) < OVERLAP:
            return f"no {one.label} was found at {one.box}"
        if abs(match.score - one.score) > SCORE:
            return f"{one.label} scores {match.score:.3f} instead of {one.score:.3f}"
        left.remove(match)
    return f"{len(left)} objects more than the {len(expected)} expected were found" if left else None


def _case(version: Path, golden: Golden) -> Case[Item, Detections]:
    labels = tuple(Label(name, index) for index, name in enumerate(golden.labels))
    query = TextQuery(labels, golden.template)
    item = Item((version / golden.image).read_bytes(), query, Parameters(threshold=golden.threshold))
    return Case(item, partial(difference, golden.objects))


def _likeness(expected: GoldenObject, found: Detection) -> float:
    """IoU of the boxes; below zero if the labels differ."""
    if expected.label != found.label:
        return -1.0
    return float(box_iou(torch.tensor([expected.box]), torch.tensor([found.box])))
