"""Conversations about pictures, in LLaVA's form or as messages.

LLaVA's    {"image": "a.jpg", "conversations": [{"from": "human", "value": "<image>\\nWhat?"}, {"from": "gpt", …}]}
messages   {"images": ["a.jpg"], "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", …}]}, …]}

A JSON array of such rows, or one a line. In a value or a plain content, <image> is the place of the next picture; in
a part of type text it is text like any other, as are all other marks of a tokenizer.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from services.finetune.data import documents, fields
from services.finetune.data.documents import Row
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import ChatExample, Dataset, Source, Turn
from services.finetune.data.fields import Fields
from services.finetune.data.paths import Folder, only
from services.finetune.data.rows import Rows

Role = Literal["system", "user", "assistant"]

MARK = "<image>"
SPEAKERS: dict[str, Role] = {
    "human": "user",
    "gpt": "assistant",
    "system": "system",
    "user": "user",
    "assistant": "assistant",
}


def read(source: Path) -> Dataset:
    """Read a file, or the one of a folder, as ChatExamples. Raises `DataError`."""
    file = only(source, find(source), "files *.json or *.jsonl") if source.is_dir() else source
    folder, rows = Folder(file.parent, "images"), Rows()
    rows.take(documents.rows(file), lambda row: _chat(row, folder))
    return rows.dataset(file)


def find(folder: Path) -> list[Path]:
    """The files of a folder that may hold conversations."""
    return sorted([*folder.glob("*.json"), *folder.glob("*.jsonl")])


def _chat(row: Row, folder: Folder) -> ChatExample:
    names = _names(row.fields)
    pictures = [folder.picture(name) for name in names]
    field, entries = fields.named(row.fields, "conversations", "messages")
    if not isinstance(entries, list):
        raise fields.wrong_type(entries, field, "a list")
    waiting = iter(pictures)
    turns = [_turn(entry, f"{field}[{index}]", waiting) for index, entry in enumerate(entries)]
    _require_order([turn.role for turn in turns], field)
    marks = sum(isinstance(part, Source) for turn in turns for part in turn.parts)
    if marks < len(pictures):
        raise BrokenRow(f"has {len(pictures)} pictures and {marks} places for them. Mark each place with {MARK}.")
    kind = row.fields.get("kind", "")
    return ChatExample(tuple(turns), row.place, kind if isinstance(kind, str) else "")


def _names(found: Fields) -> list[str]:
    """The paths of a row's pictures, in their order; a conversation may be about none."""
    for field in ("image", "images"):
        value = found.get(field)
        if value is not None:
            names = value if isinstance(value, list) else [value]
            return [fields.checked_text(name, field, most=fields.MAX_TEXT) for name in names]
    return []


def _turn(entry: object, field: str, pictures: Iterator[Source]) -> Turn:
    if not isinstance(entry, dict):
        raise fields.wrong_type(entry, field, "an object")
    speaker = fields.text(entry, "from", "role")
    role = SPEAKERS.get(speaker.lower())
    if role is None:
        raise BrokenRow(f"'{field}' is said by '{speaker[:32]}'. Write human, gpt or system (or user, assistant).")
    _, said = fields.named(entry, "value", "content")
    parts = tuple(_parts(said, field, pictures))
    if role != "user" and any(isinstance(part, Source) for part in parts):
        raise BrokenRow(f"'{field}' shows a picture, and only a user can. Move its mark {MARK} there.")
    if not any(isinstance(part, Source) or part.strip() for part in parts):
        raise BrokenRow(f"'{field}' is empty. Write what is said, or remove the row.")
    return Turn(role, parts)


def _parts(said: Any, field: str, pictures: Iterator[Source]) -> Iterator[str | Source]:
    if isinstance(said, str):
        for index, text in enumerate(said.split(MARK)):
            if index:
                yield _next(pictures, field)
            if text.strip():
                yield fields.checked_text(text.strip(), field, most=fields.MAX_TURN)
        return
    if not isinstance(said, list):
        raise fields.wrong_type(said, field, "a text or a list of parts")
    for part in said:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "image":
            yield _next(pictures, field)
        elif kind == "text":
            yield fields.checked_text(part.get("text"), field, most=fields.MAX_TURN)
        else:
            raise BrokenRow(f'\'{field}\' has a part of another type. Write {{"type": "text"}} or {{"type": "image"}}.')


def _next(pictures: Iterator[Source], field: str) -> Source:
    picture = next(pictures, None)
    if picture is None:
        raise BrokenRow(f"'{field}' has a place for a picture that the row does not name. Add it to 'images'.")
    return picture


def _require_order(roles: Sequence[Role], field: str) -> None:
    spoken = roles[1:] if roles[:1] == ["system"] else roles
    if not spoken or spoken[-1] != "assistant":
        raise BrokenRow(f"'{field}' does not end with an answer. End with gpt (assistant): that is what is learnt.")
    if any(role != ("user", "assistant")[index % 2] for index, role in enumerate(spoken)):
        raise BrokenRow(
            f"'{field}' has roles out of order. Let user and assistant alternate, after one system at most."
        )
