"""Named label sets: labels with the words, templates and thresholds that go with them, kept in a file.

labelsets.json beside this module, then the operator's own file, whose sets come on top or replace ours by name.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

SHIPPED = Path(__file__).with_name("labelsets.json")
DEFAULT_TEMPLATE = "a photo of {}"
DEFAULT_BACKGROUND = "something"
MAX_LABELS, MAX_LABEL, MAX_TEMPLATES, MAX_TEMPLATE = 100, 64, 16, 128

Activation = Literal["softmax", "sigmoid"]


def is_template(text: str) -> bool:
    """Whether `text` has one place for a label, and no other brace."""
    return text.count("{}") == text.count("{") == text.count("}") == 1


def _template(text: str) -> str:
    if not is_template(text):
        raise ValueError("a template needs exactly one {} where the label goes")
    return text


Words = Annotated[str, Field(min_length=1, max_length=MAX_LABEL, pattern=r"\S")]
Template = Annotated[str, Field(max_length=MAX_TEMPLATE), AfterValidator(_template)]
Templates = Annotated[tuple[Template, ...], Field(min_length=1, max_length=MAX_TEMPLATES)]
Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]


class SetLabel(BaseModel):
    """One label: the name that answers carry, the words that a template takes, the score from which it is flagged."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Words
    words: Words | None = Field(None, description="what goes into the templates; the label itself if unset")
    threshold: Threshold | None = Field(None, description="least score that flags a picture; never flagged if unset")


def _named(value: object) -> object:
    return {"label": value} if isinstance(value, str) else value


class LabelSet(BaseModel):
    """A ready set of labels for one use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    description: str = Field("", max_length=500)
    labels: tuple[Annotated[SetLabel, BeforeValidator(_named)], ...] = Field(min_length=1, max_length=MAX_LABELS)
    templates: Templates = (DEFAULT_TEMPLATE,)
    activation: Activation = "softmax"
    background: tuple[Words, ...] = Field(
        (DEFAULT_BACKGROUND,),
        min_length=1,
        max_length=MAX_TEMPLATES,
        description="what a picture shows that has none of the labels; sigmoid scores are measured against it",
    )

    @model_validator(mode="after")
    def _labels_differ(self) -> Self:
        names = [label.label for label in self.labels]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"{min(twice)!r} is there twice")
        return self


LabelSets = Mapping[str, LabelSet]


class InvalidLabelSets(Exception):
    """A file of label sets cannot be used; the sentence tells the operator why."""


def read_label_sets(own: Path | None) -> LabelSets:
    """The shipped sets, and on top of them those of the operator's file `own`. Raises `InvalidLabelSets`."""
    return {**_read(SHIPPED), **(_read(own) if own else {})}


def _read(path: Path) -> LabelSets:
    try:
        return TypeAdapter(dict[Name, LabelSet]).validate_json(path.read_bytes())
    except OSError as error:
        raise InvalidLabelSets(f"The label sets in {path} cannot be read: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InvalidLabelSets(f"The label sets in {path} are not valid at {where}: {first['msg']}.") from error
