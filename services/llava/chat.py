"""A conversation as the model reads it: who said what, with pictures among the words.

No HTTP and no torch: routes make these of requests, the template makes prompts of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from services.llava.sampling import Sampling


@dataclass(frozen=True, slots=True)
class Picture:
    """An encoded picture, and the field of the request that it came in."""

    data: bytes
    field: str = "image"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn: text and pictures in their order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Picture, ...]
    field: str = "messages"


@dataclass(frozen=True, slots=True)
class Talk:
    """What to answer, and how.

    limit       most tokens of an answer; None for as many as there is room for
    answers     how many answers, each with random numbers of its own
    grammar     what the text must be: None, `{}` for any JSON object, or a JSON schema
    salt        keeps the remembered beginning of this conversation apart from others'
    """

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=lambda: Sampling(temperature=0.0))
    limit: int | None = None
    answers: int = 1
    grammar: Mapping[str, Any] | None = None
    salt: str = ""
