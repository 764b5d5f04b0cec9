"""The alias is the truth: a service whose settings name no version serves what champion points at.

every follow_s: read the pointer -> the digest that serves? -> done
                                 -> another one -> prepare, unless it is prepared -> commit      refused -> told once

Before it the pointer kept, of a model with an embedding space: what it names serves beside, so that who demands the
space of before finds it without a gap.

So a replica that was away, or that a pusher did not reach, comes to serve what the others serve.
"""

import asyncio

from shared import logs
from shared.errors import OcelliError
from shared.serving.metrics import FOLLOW_TROUBLE, WEIGHTS_SKEW
from shared.serving.model import RefusedWeights
from shared.serving.swap import Swaps
from shared.weights.aliases import Pointer
from shared.weights.errors import StoreError

BY = "champion"  # who is named as the cause of what is done here

log = logs.get(__name__)


class Follower:
    """What keeps the models of one process on their alias."""

    def __init__(self, swaps: Swaps, *, every: float) -> None:
        """`every` is the time between two looks, in seconds."""
        self._swaps, self._every = swaps, every
        self._names = [name for name in swaps.references if swaps.follows(name)]
        self._trouble: dict[str, str] = {}

    async def run(self) -> None:
        """Look, again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            await self.look_at_all()

    async def look_at_all(self) -> None:
        """Look once; what stands in the way of one model is told, and stops no other."""
        for name in self._names:
            try:
                await self.look(name)
            except RefusedWeights:
                continue  # told by whoever refused them
            except (OcelliError, StoreError, OSError) as error:
                self._say(name, str(error))
            else:
                self._say(name, "")

    async def look(self, name: str) -> None:
        """Serve under `name` what kept and champion point at.

        Raises `RefusedWeights`, `Conflict`, `StoreError`, `OSError`.
        """
        try:
            if self._swaps.engine.weights(name).model.space:
                await self._look_at_kept(name)
        finally:  # a space of before that cannot be served must not hold up what is pushed
            await self._look_at_champion(name)

    async def _look_at_kept(self, name: str) -> None:
        swaps, lane = self._swaps, self._swaps.engine.lanes[name]
        before = lane.kept
        pointer = await asyncio.to_thread(swaps.store.pointer, name, "kept")
        if lane.kept is not before:
            return  # what was read may be older than what has come since
        if pointer is None:
            if before is not None:
                swaps.retire(name, before.identity.digest, by=BY)
        elif (before is None or before.identity.digest != pointer.digest) and not self._refused(name, pointer):
            await swaps.keep(name, pointer.version, by=BY)

    async def _look_at_champion(self, name: str) -> None:
        swaps, before = self._swaps, self._digest(name)
        pointer = await asyncio.to_thread(swaps.store.pointer, name, "champion")
        if pointer is None or self._digest(name) != before:
            return  # what was read may be older than what has come since
        WEIGHTS_SKEW.labels(name).set(pointer.digest != before)
        if pointer.digest != before and not self._refused(name, pointer):
            await self._take(name, pointer)
            WEIGHTS_SKEW.labels(name).set(0)

    async def _take(self, name: str, pointer: Pointer) -> None:
        await self._swaps.prepare(name, pointer.version, by=BY)
        self._swaps.commit(name, pointer.digest, by=BY)

    def _refused(self, name: str, pointer: Pointer) -> bool:
        return pointer.digest in self._swaps.refused[name]

    def _digest(self, name: str) -> str:
        return self._swaps.engine.weights(name).identity.digest

    def _say(self, name: str, trouble: str) -> None:
        """Log what stands in the way when it begins, not every time."""
        if trouble and trouble != self._trouble.get(name):
            log.warning("cannot_follow", model=name, reason=trouble)
        elif self._trouble.get(name) and not trouble:
            log.info("follows_again", model=name)
        self._trouble[name] = trouble
        FOLLOW_TROUBLE.labels(name).set(bool(trouble))
