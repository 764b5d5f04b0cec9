"""The embedding space of before, which serves beside the new one until it is retired.

hold     a push into a new space lets `kept` point at the version that served before champion moves
retire   `kept` points nowhere, and every replica lets go of the weights

Like champion the alias is the truth: who restarts, or misses its order, follows.
"""

import contextlib
import time
from dataclasses import dataclass

from shared.rollout.errors import NotKept, SpaceKept
from shared.rollout.fleet import Fleet, Reply
from shared.weights.aliases import Pointer
from shared.weights.errors import AliasMoved
from shared.weights.store import Store

ALIAS = "kept"


class Kept:
    """What one push does about the space of before."""

    def __init__(self, store: Store, model: str, by: str) -> None:
        self._store, self._model, self._by = store, model, by
        self._found: Pointer | None = None  # where the alias pointed before this push
        self._held: Pointer | None = None  # and where since

    def expect_room(self, version: str, champion: str) -> None:
        """Raise `SpaceKept` where what is kept is neither the `champion` nor the `version` that takes its place."""
        self._found = self._store.pointer(self._model, ALIAS)
        if self._found is not None and self._found.version not in {version, champion}:
            kept = f"{self._model}@{self._found.version}"
            raise SpaceKept(
                f"{kept} serves beside {self._model}@{champion} for the embedding space of before, and a third space "
                f"has no place. When nobody needs it any more: ocelli models retire {kept}"
            )

    def hold(self, champion: str) -> None:
        """Let the alias point at what serves. Raises `AliasMoved`."""
        found = None if self._found is None else self._found.version
        self._held = self._store.move_alias(self._model, ALIAS, champion, expected=found, by=self._by)

    def restore(self) -> None:
        """Let the alias point where it did, since the push did not happen; unless somebody else has moved it."""
        if self._held is None:
            return
        with contextlib.suppress(AliasMoved):
            if self._found is None:
                self._store.retire_alias(self._model, ALIAS, expected=self._held, by=self._by)
            else:
                found, held = self._found.version, self._held.version
                self._store.move_alias(self._model, ALIAS, found, expected=held, by=self._by)

    @property
    def version(self) -> str | None:
        """The version that is held."""
        return None if self._held is None else self._held.version

    @property
    def order(self) -> dict[str, str]:
        """What a commit says of it."""
        return {} if self._held is None else {"keep": self._held.digest}


def settle(store: Store, model: str, champion: str, *, by: str) -> None:
    """Keep nothing where what was kept is champion again; unless somebody else has moved the alias."""
    pointer = store.pointer(model, ALIAS)
    if pointer is not None and pointer.version == champion:
        with contextlib.suppress(AliasMoved):
            store.retire_alias(model, ALIAS, expected=pointer, by=by)


@dataclass(frozen=True, slots=True)
class Retired:
    """What a retirement did: the version that serves no longer, and what the replicas said."""

    version: str
    replies: tuple[Reply, ...]
    seconds: float

    @property
    def late(self) -> list[Reply]:
        """Those that have yet to follow."""
        return [reply for reply in self.replies if not reply.ok]


async def retire(
    store: Store, model: str, *, fleet: Fleet, version: str | None = None, space: str | None = None
) -> Retired:
    """End the service of the space that is kept, named by its version or, as the replicas tell it, by its id.

    Raises `NotKept` where something else is kept, or nothing, and `AliasMoved` where somebody was faster.
    """
    began = time.monotonic()
    pointer = store.pointer(model, ALIAS)
    if pointer is None:
        raise NotKept(f"{model} serves in one embedding space; there is none to retire.")
    spaces = await _spaces(fleet, model, pointer)
    if version not in (None, pointer.version) or (space is not None and space not in spaces):
        known = ", ".join(sorted(spaces)) or "which no replica tells the id of"
        raise NotKept(f"What is kept of {model} is {model}@{pointer.version}, {known}. Name that one.")
    store.retire_alias(model, ALIAS, expected=pointer, by=fleet.by)
    replies = await fleet.every("retire", model, {"digest": pointer.digest})
    return Retired(pointer.version, tuple(replies), time.monotonic() - began)


async def _spaces(fleet: Fleet, model: str, pointer: Pointer) -> set[str]:
    """The ids by which the replicas call the space of a version that they serve."""
    told = [reply.state or {} for reply in await fleet.states(model)]
    weights = [state.get(part) or {} for state in told for part in ("kept", "serving")]
    return {one["embedding_space"] for one in weights if one.get("digest") == pointer.digest}
