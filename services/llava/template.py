"""A conversation -> the pieces of its prompt, in the form that LLaVA-1.5 learnt with Vicuna.

    system text USER: <image>
    question ASSISTANT: answer</s>USER: next question ASSISTANT:

What a caller wrote stays apart from what is written here, so that no word of it can become a mark. The template that a
checkpoint brings is a program, and is never run.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.llava.chat import Message, Picture
from shared.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Quoted:
    """Text of a caller, and the field of the request that it came in."""

    text: str
    field: str


@dataclass(frozen=True, slots=True)
class End:
    """The mark after a complete answer."""


Piece = str | Quoted | Picture | End  # a plain `str` is ours


def pieces(messages: Sequence[Message]) -> list[Piece]:
    """The prompt of a conversation, up to where the answer begins.

    Raises `InvalidRequest` where nobody asks, or where a system message is not the first one.
    """
    _check(messages)
    made: list[Piece] = []
    for message in messages:
        made += _turn(message)
    return [*made, "ASSISTANT:"]


def _check(messages: Sequence[Message]) -> None:
    for index, message in enumerate(messages):
        if index and message.role == "system":
            raise _misplaced(f"messages[{index}].role", "cannot be system: only the first message can. Move it there.")
    if not messages:
        raise _misplaced("messages", "is empty. Send at least a user's message.")
    if messages[-1].role != "user":
        field = f"messages[{len(messages) - 1}].role"
        raise _misplaced(field, "must be user: the last message is the one that is answered.")


def _misplaced(field: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"'{field}' {what}", param=field)


def _turn(message: Message) -> list[Piece]:
    if message.role == "assistant":
        return ["ASSISTANT: ", *_parts(message, after=""), End()]
    return [*(["USER: "] if message.role == "user" else []), *_parts(message, after=" ")]


def _parts(message: Message, *, after: str) -> Iterator[Piece]:
    """Pictures end their line, and so does a text before another one; any other text ends with `after`."""
    parts = _ordered([part.strip() if isinstance(part, str) else part for part in message.parts])
    for index, part in enumerate(parts):
        if isinstance(part, Picture):
            yield from (part, "\n")
        else:
            followed = index + 1 < len(parts) and isinstance(parts[index + 1], str)
            yield from (Quoted(part, message.field), "\n" if followed else after)


def _ordered(parts: Sequence[str | Picture]) -> list[str | Picture]:
    """The parts that say something; a picture that is alone comes first, as in all that the model was trained on."""
    said = [part for part in parts if part]
    if sum(isinstance(part, Picture) for part in said) == 1:
        said.sort(key=lambda part: isinstance(part, str))
    return said
