"""The labels of a request: strings, or objects with a threshold of their own -> each meaning once, in order.

Two labels that differ in case and spaces alone are one. It is answered under its first spelling, and its `label_id` is
the place of that spelling in the caller's list.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.owlvit.queries import Label
from shared.errors import InvalidRequest
from shared.serving.validation import invalid

MOST, LONGEST = 100, 64  # labels of a request, characters of a label
CONTROLS = frozenset(map(chr, (*range(32), *range(127, 160))))


class LabelFields(BaseModel):
    """A label as an object of a request."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    label: Annotated[str, Field(min_length=1, max_length=LONGEST)]
    threshold: float | None = Field(None, ge=0, le=1)


def read_labels(values: Sequence[object]) -> tuple[Label, ...]:
    """The labels in `values`, without repetitions. Raises `InvalidRequest`, which names the guilty one."""
    if not values:
        raise InvalidRequest("'labels' is empty. Name at least one thing to find.", param="labels")
    if len(values) > MOST:
        raise InvalidRequest(f"There are {len(values)} labels. Send at most {MOST} at once.", param="labels")
    labels: dict[str, Label] = {}
    for index, value in enumerate(values):
        label = _read(value, index)
        labels.setdefault(normal(label.name).casefold(), label)
    return tuple(labels.values())


def normal(name: str) -> str:
    """`name` with single spaces between its words and none around them."""
    return " ".join(name.split())


def _read(value: object, index: int) -> Label:
    if not isinstance(value, str | dict):
        raise _refused(index, "must be a string, or an object with 'label' and 'threshold'")
    plain = isinstance(value, str)
    try:
        fields = LabelFields.model_validate({"label": value} if plain else value, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        inner = () if plain else first["loc"]
        raise invalid([{**first, "loc": ("labels", index, *inner)}]) from None
    name = normal(fields.label)
    if not name:
        raise _refused(index, "is blank. Name a thing to find")
    if not CONTROLS.isdisjoint(name):
        raise _refused(index, "has a control character. Remove it")
    return Label(fields.label, index, fields.threshold)


def _refused(index: int, what: str) -> InvalidRequest:
    return InvalidRequest(f"'labels[{index}]' {what}.", param=f"labels[{index}]")
