"""What a request asks of the detector, and the same for a batch as the post-processing needs it.

Parameters (one picture, names of labels) -> ask() -> Ask (ids of classes) -> Wanted.of([Ask]) (tensors of a batch)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Self

import torch
from torch import Tensor

from shared.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one picture is to be answered; `labels=None` means all classes, `iou_threshold=None` the model's own."""

    threshold: float = 0.5
    iou_threshold: float | None = None
    labels: tuple[str, ...] | None = None
    max_detections: int = 100
    masks: bool = False


@dataclass(frozen=True, slots=True)
class Item:
    """One encoded picture, how it is to be answered, and the field of the request that an error would name."""

    data: bytes
    parameters: Parameters = Parameters()
    field: str = "image"


@dataclass(frozen=True, slots=True)
class Ask:
    """Parameters that fit the model: class ids instead of names, every default filled in."""

    threshold: float
    iou: float
    classes: tuple[int, ...] | None
    limit: int
    masks: bool


def ask(parameters: Parameters, *, ids: Mapping[str, int], iou: float, masks: bool) -> Ask:
    """`parameters` for a model with these label ids and this NMS threshold, which may or may not find `masks`.

    Raises `InvalidRequest` for a label that the model does not know, and for masks that it does not find.
    """
    if parameters.masks and not masks:
        raise InvalidRequest(
            "This model finds boxes only. Leave masks out, or name a model of the mask-rcnn family.", param="masks"
        )
    classes = None if parameters.labels is None else _class_ids(parameters.labels, ids)
    own = iou if parameters.iou_threshold is None else parameters.iou_threshold
    return Ask(parameters.threshold, own, classes, parameters.max_detections, parameters.masks)


def _class_ids(labels: Sequence[str], ids: Mapping[str, int]) -> tuple[int, ...]:
    if not labels:
        raise InvalidRequest("labels is empty. Name at least one class, or leave it out for all.", param="labels")
    for label in labels:
        if label not in ids:
            close = get_close_matches(label[:64], ids, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise InvalidRequest(
                f"This model knows no label {label[:64]!r}.{hint} It knows: {', '.join(ids)}.", param="labels"
            )
    return tuple(ids[label] for label in labels)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What each of the `n` pictures of a batch is asked for.

    thresholds  [n, classes]  the lowest score that counts; infinite for the background and for classes not asked for
    ious        [n]           NMS threshold, on the host: it decides how many NMS are run
    limits      [n]           most detections
    masks       [n]           whether masks are asked for, on the host: it decides whether the mask head is run
    """

    thresholds: Tensor
    ious: tuple[float, ...]
    limits: Tensor
    masks: tuple[bool, ...]

    @classmethod
    def of(cls, asks: Sequence[Ask], *, floor: float, classes: int, device: torch.device) -> Self:
        """The wishes of `asks`, for a model that drops scores up to and including `floor` in any case."""
        least = torch.nextafter(torch.tensor(floor), torch.tensor(torch.inf))
        thresholds = torch.full((len(asks), classes), torch.inf)
        for row, one in zip(thresholds, asks, strict=True):
            taken = slice(1, None) if one.classes is None else list(one.classes)
            row[taken] = torch.maximum(torch.tensor(one.threshold), least)
        return cls(
            thresholds.to(device),
            tuple(one.iou for one in asks),
            torch.tensor([one.limit for one in asks], device=device),
            tuple(one.masks for one in asks),
        )
