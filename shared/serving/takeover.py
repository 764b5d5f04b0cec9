"""A fresh model on its way to serve: nobody is answered by it before it has shown that it can.

read (CPU thread) -> use -> golden cases -> warm up -> as fast as what serves? -> Weights       or RefusedWeights

Everything on the device is cut into jobs of a batch or a step. Beside weights that serve, each is followed by a rest
as long as itself, so that a user's batch seldom waits for one, and never for two.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from shared import logs
from shared.errors import OcelliError
from shared.serving.batch import AnyModel, Lane
from shared.serving.model import DeviceLost, DeviceOutOfMemory, Identity, RefusedWeights, Weights

ROUNDS = range(5, 26)  # pairs of batches that are compared: the more, the worse the new weights look
SLOWER = 2.0  # times as long as what serves, from which weights are refused ...
TRIFLE_S = 0.002  # ... unless the difference is no more than this

Call = Callable[[Callable[[], Any]], Awaitable[Any]]  # a function on the device thread, between two batches

log = logs.get(__name__)


class Trial:
    """One set of weights, tried out for a lane."""

    def __init__(self, lane: Lane, call: Call, *, race: bool = True) -> None:
        self.lane, self.model, self._call, self._races = lane, lane.make(), call, race

    async def run(self, path: Path, identity: Identity) -> Weights:
        """Read the verified version at `path`, and prove it. Raises `RefusedWeights`, or `DeviceLost`."""
        try:
            await self._prove(path)
        except (RefusedWeights, DeviceLost):
            raise
        except OcelliError as error:
            raise RefusedWeights(f"{self.lane.name} refuses its own example: {error.message}") from error
        except DeviceOutOfMemory as error:
            raise RefusedWeights(f"{self.lane.name}: the device has not enough memory for a second model.") from error
        except Exception as error:
            log.exception("trial_failed", model=self.lane.name)
            raise RefusedWeights(f"{self.lane.name} cannot run with these weights; the log says why.") from error
        return Weights(self.model, identity)

    async def _prove(self, path: Path) -> None:
        state = await asyncio.to_thread(self.model.read, path)
        await self._on_device(self.model, partial(self.model.use, state))
        await self._answer_golden_cases()
        await self._warm_up()
        if self._races and self.lane.weights is not None:
            await self._race(self.lane.weights.model)

    async def _answer_golden_cases(self) -> None:
        for number, case in enumerate(self.model.golden()):
            (result,) = (await self._rehearse(self.model, [case.item])).results
            if (wrong := case.check(result)) is not None:
                raise RefusedWeights(f"golden case {number} of {self.lane.name}: {wrong}")

    async def _warm_up(self) -> None:
        """Run each size twice; before the first weights serve, the second time is what admission goes by."""
        example, times = self.model.example(), self.lane.queue.times
        for size in self.model.warm_sizes(self.lane.queue.max_items):
            await self._rehearse(self.model, [example] * size)
            again = await self._rehearse(self.model, [example] * size)
            if self.lane.weights is None:
                times.observe(size, again.seconds)

    async def _race(self, serving: AnyModel) -> None:
        """Refuse what is much slower than `serving`, by turns on one device, so that both meet the same load."""
        olds, news, old, new = list[float](), list[float](), 0.0, 0.0
        for number in range(1, ROUNDS.stop):
            olds.append((await self._rehearse(serving, [serving.example()])).seconds)
            news.append((await self._rehearse(self.model, [self.model.example()])).seconds)
            # On a busy machine the fastest of some batches is luck; their median is not.
            old, new = median(olds), median(news)
            if number >= ROUNDS.start and new <= max(SLOWER * old, old + TRIFLE_S):
                return
        raise RefusedWeights(
            f"A batch takes {new * 1000:.1f} ms, and {old * 1000:.1f} ms with the weights that serve: more than "
            f"{SLOWER:g} times as long. Publish a smaller model, or restart the service with it."
        )

    async def _rehearse(self, model: AnyModel, items: Sequence[Any]) -> "Rehearsal":
        first = await asyncio.to_thread(model.preprocess, items[0])
        rehearsal = Rehearsal(model, [first] * len(items))
        while await self._on_device(model, rehearsal.advance):
            await self._rest(rehearsal.latest)
        await self._rest(rehearsal.latest)
        return rehearsal

    async def _rest(self, seconds: float) -> None:
        if self.lane.weights is not None:
            await asyncio.sleep(seconds)

    async def _on_device(self, model: AnyModel, function: Callable[[], Any]) -> Any:
        """`function()` as a job; what it raises is classified on the spot."""

        def job() -> Any:
            try:
                return function()
            except Exception as raised:
                error = model.classify(raised)
                if isinstance(error, (DeviceLost, DeviceOutOfMemory)):
                    raise error from raised
                raise

        return await self._call(job)


class Rehearsal:
    """A batch that is answered piece by piece, and the seconds that it took on the device."""

    def __init__(self, model: AnyModel, batch: Sequence[Any]) -> None:
        self._pieces = model.rehearse(batch)
        self.results: Sequence[Any] = ()
        self.seconds = self.latest = 0.0  # of all pieces, and of the latest one

    def advance(self) -> bool:
        """The next piece; whether there may be another one."""
        began = time.monotonic()
        try:
            next(self._pieces)
        except StopIteration as end:
            self.results = end.value
            return False
        finally:
            self.latest = time.monotonic() - began
            self.seconds += self.latest
        return True
