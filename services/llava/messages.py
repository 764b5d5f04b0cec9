"""The messages of a request -> the turns of a conversation.

content of each -> texts, and pictures that are still base64 -> counted -> decoded from base64
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from services.llava.chat import Message, Picture
from services.llava.schemas import MAX_PICTURES, MAX_TEXT_BYTES, ChatMessage
from shared.errors import InvalidRequest, TooLarge
from shared.images.inline import read_inline
from shared.settings import Limits

DETAILS = ("auto", "low", "high", "original")
NOTHING: tuple[Any, ...] = (None, [])  # what a client may send in a field that this model has no use for


@dataclass(frozen=True, slots=True)
class Inline:
    """A picture that is still base64."""

    url: Any
    field: str


def to_messages(messages: Sequence[ChatMessage], limits: Limits) -> tuple[Message, ...]:
    """The turns of a conversation, whose pictures are decoded from base64 and no further.

    Raises `InvalidRequest`, `TooLarge` and `InvalidImage`, which name the field, like `messages[2].content[0].text`.
    """
    turns = [tuple(_parts(message, f"messages[{number}]")) for number, message in enumerate(messages)]
    check_length([part for parts in turns for part in parts if isinstance(part, str)], "messages")
    _count_pictures(sum(isinstance(part, Inline) for parts in turns for part in parts), limits)
    return tuple(
        Message(
            "system" if message.role == "developer" else message.role,
            tuple(part if isinstance(part, str) else _picture(part, limits) for part in parts),
            f"messages[{number}]",
        )
        for number, (message, parts) in enumerate(zip(messages, turns, strict=True))
    )


def _parts(message: ChatMessage, field: str) -> Iterator[str | Inline]:
    for name in ("tool_calls", "function_call", "audio"):
        if getattr(message, name) not in NOTHING:
            _refuse(f"'{field}.{name}' is nothing that this model reads. Leave it out.", f"{field}.{name}")
    content, field = message.content, f"{field}.content"
    if content is None:
        _refuse(f"'{field}' is required: a text, or a list of parts.", field, code="missing_field")
    if isinstance(content, str):
        yield content
        return
    if not isinstance(content, list) or not content:
        _refuse(f"'{field}' must be a text, or a list of at least one part.", field)
    for number, value in enumerate(content):
        part = _part(value, f"{field}[{number}]")
        if isinstance(part, Inline) and message.role != "user":
            _refuse(f"'{field}[{number}]' is a picture, which only a user's message may have.", f"{field}[{number}]")
        yield part


def _part(value: Any, field: str) -> str | Inline:
    """A text, or the address of a picture, which the caller's `detail` changes nothing about."""
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "image_url"):
        _refuse(f"'{field}' must be a part of type 'text' or 'image_url'.", field)
    inner = _take(value, field, needed=kind, allowed=("type", kind))
    field = f"{field}.{kind}"
    if kind == "text":
        if not isinstance(inner, str):
            _refuse(f"'{field}' must be a string.", field)
        return inner
    if not isinstance(inner, dict):
        _refuse(f"'{field}' must be an object with a 'url'.", field)
    url = _take(inner, field, needed="url", allowed=("url", "detail"))
    if inner.get("detail") is not None and inner["detail"] not in DETAILS:
        _refuse(f"'{field}.detail' must be one of {', '.join(DETAILS)}.", f"{field}.detail")
    return Inline(url, f"{field}.url")


def _take(value: dict[str, Any], field: str, *, needed: str, allowed: tuple[str, ...]) -> Any:
    """The field `needed` of an object that may have only those `allowed`."""
    for name in value:
        if name not in allowed:
            shown = f"{field}.{name[:64]}"
            _refuse(f"'{shown}' is not a field of this request.", shown, code="unknown_field")
    if needed not in value:
        _refuse(f"'{field}.{needed}' is required.", f"{field}.{needed}", code="missing_field")
    return value[needed]


def _picture(part: Inline, limits: Limits) -> Picture:
    if not isinstance(part.url, str):
        _refuse(f"'{part.field}' must be a string: a data URI, or base64.", part.field)
    return Picture(read_inline(part.url, part.field, limits), part.field)


def check_length(texts: Sequence[str], field: str) -> None:
    """Raise `TooLarge` where `texts` are too long together."""
    if sum(len(text.encode("utf-8", "surrogatepass")) for text in texts) > MAX_TEXT_BYTES:
        message = f"The texts in '{field}' have more than {MAX_TEXT_BYTES:,} bytes in all. Shorten them."
        raise TooLarge(message, code="field_too_large", param=field)


def _count_pictures(count: int, limits: Limits) -> None:
    most = min(MAX_PICTURES, limits.images)
    if count > most:
        message = f"There are {count} pictures in 'messages'. Send at most {most}."
        _refuse(message, "messages", code="too_many_images")


def _refuse(message: str, field: str, *, code: str | None = None) -> NoReturn:
    raise InvalidRequest(message, code=code, param=field)
