"""Aliases: numbered pointers, of which the highest counts, so that the history of every alias is kept and linear.

    aliases/clip/champion/000001.json   {"version": "shapes-1", "digest": "sha256:…", "by": "release", "at": …}
    aliases/clip/champion/000002.json   {"version": "shapes-2", …}       <- clip@champion; above it clip@previous
    aliases/clip/kept/000001.json       {"version": "shapes-1", …}       what serves beside champion, in its own space
    aliases/clip/kept/000002.json       {…, "retired": true}             and no longer

A move reads the highest number n and creates n + 1, which only one of many can do: compare-and-swap on every file
system that can create a file exclusively (local disks, NFS, S3), with no lock that a dead process could leave behind.
"""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from shared.weights.errors import AliasMoved, BadName, StoreError
from shared.weights.names import MOVABLE, check
from shared.weights.storage import Storage

MOVE = re.compile(r"[0-9]{6}\.json")
POINTER_BYTES = 4096


class Pointer(BaseModel):
    """One move of an alias: the version that it points at, pinned by digest, and who moved it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
    by: Annotated[str, Field(max_length=200)]
    at: AwareDatetime
    retired: bool = Field(False, description="from here on the alias points nowhere")


class Aliases:
    """The aliases of all models of one store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def current(self, model: str) -> dict[str, Pointer]:
        """Where the aliases of `model` point; `previous` is what champion pointed at before."""
        current = {}
        for alias in MOVABLE:
            last = self._moves(model, alias)[-2:]
            if (pointer := self._last(last)) is not None:
                current[alias] = pointer
            if alias == "champion" and len(last) == 2:
                current["previous"] = self._pointer(last[0])
        return current

    def pointer(self, model: str, alias: str) -> Pointer | None:
        """Where one alias points, by one listing and one small file; None where it was never set, or is retired."""
        return self._last(self._moves(model, alias))

    def history(self, model: str, alias: str) -> list[Pointer]:
        """Every move of an alias, oldest first."""
        return [self._pointer(move) for move in self._moves(model, alias)]

    def move(self, model: str, alias: str, pointer: Pointer, *, expected: str | None) -> None:
        """Let `alias` point at `pointer` if it points at the version `expected` (None: nowhere yet).

        Raises `AliasMoved` if it points elsewhere, or if somebody else moves it at this moment.
        """
        moves = self._moves(model, alias)
        last = self._last(moves)
        found = None if last is None else last.version
        if found != expected:
            raise AliasMoved(f"{model}@{alias} points at {found or 'nothing'}, not at {expected or 'nothing'}.")
        if found == pointer.version and not pointer.retired:
            return
        number = int(PurePosixPath(moves[-1]).stem) + 1 if moves else 1
        try:
            self._storage.create(f"{_folder(model, alias)}/{number:06}.json", _encode(pointer))
        except FileExistsError as error:
            raise AliasMoved(f"{model}@{alias} was moved by somebody else at this moment.") from error

    def _moves(self, model: str, alias: str) -> list[str]:
        folder = _folder(model, alias)
        return [f"{folder}/{name}" for name in self._storage.names(folder) if MOVE.fullmatch(name)]

    def _last(self, moves: Sequence[str]) -> Pointer | None:
        """What the latest of `moves` points at."""
        pointer = self._pointer(moves[-1]) if moves else None
        return None if pointer is None or pointer.retired else pointer

    def _pointer(self, path: str) -> Pointer:
        try:
            return Pointer.model_validate_json(self._storage.read(path, POINTER_BYTES))
        except ValidationError as error:
            raise StoreError(f"{path} is not a pointer that this release can read.") from error


def _folder(model: str, alias: str) -> str:
    if alias not in MOVABLE:
        raise BadName(f"{alias[:80]!r} is not an alias that can be moved; those are {', '.join(MOVABLE)}.")
    return f"aliases/{check(model, 'model')}/{alias}"


def _encode(pointer: Pointer) -> bytes:
    return (pointer.model_dump_json(indent=2, exclude_defaults=True) + "\n").encode()
