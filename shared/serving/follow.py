"""The alias is the truth: a service whose settings name no version serves what champion points at.

every follow_s: read the pointer -> the digest that serves? -> done
                                 -> another one -> prepare, unless it is prepared -> commit      refused -> told once

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
        """Serve under `name` what champion points at. Raises `RefusedWeights`, `Conflict`, `StoreError`, `OSError`."""
        swaps, before = self._swaps, self._digest(name)
        pointer = await asyncio.to_thread(swaps.store.pointer, name, "champion")
        if pointer is None or self._digest(name) != before:
            return  # what was read may be older than what has come since
        WEIGHTS_SKEW.labels(name).set(pointer.digest != before)
        if pointer.digest != before and pointer.digest not in swaps.refused[name]:
            await self._take(name, pointer)
            WEIGHTS_SKEW.labels(name).set(0)

    async def _take(self, name: str, pointer: Pointer) -> None:
        await self._swaps.prepare(name, pointer.version, by=BY)
        self._swaps.commit(name, pointer.digest, by=BY)

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
