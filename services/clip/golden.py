"""Golden cases: texts and pictures in the version, and the vectors that the job's own model gave them.

Serving must give vectors of the same direction, or the weights are refused.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, TypeAdapter, model_validator

from services.clip.items import Embedding, Item
from shared.serving.model import Case

COSINE = 0.999  # bfloat16 turns a vector by less


class Golden(BaseModel):
    """A text, or a picture by its path in the version, and the vector expected for it."""

    model_config = ConfigDict(frozen=True)

    text: str | None = None
    image: Annotated[str, Field(pattern=r"^golden/[\w-]+\.png$")] | None = None
    embedding: tuple[FiniteFloat, ...]

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if (self.text is None) == (self.image is None):
            raise ValueError("a golden case is either a text or an image")
        return self


_GOLDENS = TypeAdapter(tuple[Golden, ...])


def read_golden(version: Path) -> tuple[Case[Item, Embedding], ...]:
    """The golden cases of a version directory; none if it has no `golden.json`.

    Raises pydantic's `ValidationError` for a file of another form, `OSError` for a picture that is not there.
    """
    file = version / "golden.json"
    goldens = _GOLDENS.validate_json(file.read_bytes()) if file.exists() else ()
    return tuple(_case(version, golden) for golden in goldens)


def difference(expected: Sequence[float], found: Embedding) -> str | None:
    """What is wrong with `found`, or None: the cosine with the expected vector is at least `COSINE`."""
    vector = np.asarray(expected, np.float64)
    if vector.shape != found.vector.shape:
        return f"the vector has {len(found.vector)} numbers, {len(vector)} were expected"
    length = float(np.linalg.norm(vector))
    cosine = float(found.vector @ vector) / length if length else 0.0
    return None if cosine >= COSINE else f"the cosine with the expected vector is {cosine:.4f}, below {COSINE}"


def _case(version: Path, golden: Golden) -> Case[Item, Embedding]:
    data = None if golden.image is None else (version / golden.image).read_bytes()
    return Case(Item(golden.text, data), partial(difference, golden.embedding))
