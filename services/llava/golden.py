"""Golden cases: conversations in the version, and the tokens that the job's own model answered, greedily.

Serving must answer the same, token by token, or the weights are refused.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.llava.chat import Message, Picture, Talk
from services.llava.sampling import Sampling
from shared.serving.model import Case


class Part(BaseModel):
    """A text, or a picture by its path in the version."""

    model_config = ConfigDict(frozen=True)

    type: Literal["text", "image"]
    text: str = ""
    image: Annotated[str, Field(pattern=r"^golden/[\w-]+\.png$")] | None = None


class Turn(BaseModel):
    """Who says what."""

    model_config = ConfigDict(frozen=True)

    role: Literal["system", "user", "assistant"]
    content: tuple[Part, ...]


class Golden(BaseModel):
    """A conversation and the tokens of its answer, the end mark included."""

    model_config = ConfigDict(frozen=True)

    messages: tuple[Turn, ...]
    tokens: tuple[int, ...] = Field(min_length=1)


_GOLDENS = TypeAdapter(tuple[Golden, ...])


def read_golden(version: Path) -> tuple[Case[Talk, Sequence[int]], ...]:
    """The golden cases of a version directory; none if it has no `golden.json`.

    Raises pydantic's `ValidationError` for a file of another form, `OSError` for a picture that is not there.
    """
    file = version / "golden.json"
    goldens = _GOLDENS.validate_json(file.read_bytes()) if file.exists() else ()
    return tuple(_case(version, golden) for golden in goldens)


def difference(expected: Sequence[int], found: Sequence[int]) -> str | None:
    """What is wrong with the tokens of an answer, or None."""
    if list(found) == list(expected):
        return None
    equal = next((n for n, pair in enumerate(zip(expected, found, strict=False)) if pair[0] != pair[1]), len(found))
    return f"the answer differs from the expected one at token {equal} of {len(expected)}"


def _case(version: Path, golden: Golden) -> Case[Talk, Sequence[int]]:
    messages = tuple(
        Message(turn.role, tuple(_part(version, part) for part in turn.content)) for turn in golden.messages
    )
    talk = Talk(messages, Sampling(temperature=0.0), limit=len(golden.tokens))
    return Case(talk, partial(difference, golden.tokens))


def _part(version: Path, part: Part) -> str | Picture:
    return part.text if part.image is None else Picture((version / part.image).read_bytes())
