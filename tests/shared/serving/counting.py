"""A real, tiny model for tests of the serving core: it answers 2x, and shows what it was asked to do."""

import asyncio
import copy
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from shared.errors import InvalidRequest
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.model import Case, DeviceLost, DeviceOutOfMemory, Identity, Model
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue

T = TypeVar("T")
M = TypeVar("M")
POISON = -1
SLOW_S = 0.02


class Doubler(Model[int, int, int, int]):
    """Doubles whole numbers; negative ones are poison, and a batch over `capacity` does not fit."""

    def __init__(self, *, seconds: float = 0.0, capacity: int = 1000) -> None:
        self.seconds, self.capacity = seconds, capacity
        self.batches: list[list[int]] = []
        self.factor = 2
        self.threads: set[str] = set()
        self.gate = threading.Event()
        self.gate.set()

    def read(self, path: Path) -> int:
        return int(path.name)

    def use(self, state: int) -> None:
        self.factor = state

    def preprocess(self, item: int) -> int:
        if item == 1313:
            raise InvalidRequest("1313 is refused.", param="number")
        return item

    def predict(self, batch: Sequence[int]) -> Sequence[int]:
        self.threads.add(threading.current_thread().name)
        self.gate.wait()
        time.sleep(self.seconds)
        self.batches.append(list(batch))
        if len(batch) > self.capacity:
            raise DeviceOutOfMemory
        if 666 in batch:
            raise DeviceLost("sticky")
        if any(x < 0 for x in batch):
            raise RuntimeError("device text that nobody may see")
        return [self.factor * x for x in batch]

    def cost(self, features: int) -> int:
        return abs(features)

    def example(self) -> int:
        return 1

    def golden(self) -> Sequence[Case[int, int]]:
        return [Case(3, lambda result: None if result % 3 == 0 else f"{result} is no multiple")]


def served(
    body: Callable[[Engine, Doubler], Awaitable[T]], model: Doubler | None = None, **budget: Any
) -> tuple[T, Doubler]:
    """Run `body` against a started engine that serves `model` as `double`, and close the engine."""
    model = model or Doubler()
    queue = BatchQueue(**{"limit": 64, "max_items": 8, "max_cost": 10**9, **budget})

    async def main() -> T:
        lost = asyncio.Event()
        engine = Engine("test", [Lane("double", factory(model), queue)], pool=Pool(2, limit=500), on_lost=lost.set)
        engine.start()
        await engine.take_over("double", Path("2"), Identity("double", "v2", "sha256:2"))
        model.batches.clear()
        try:
            return await asyncio.wait_for(body(engine, model), 30)
        finally:
            model.gate.set()
            await engine.close()

    return asyncio.run(main()), model


def factory(first: M) -> Callable[[], M]:
    """What makes `first`, and then others that share its gate and its counts."""
    models = iter([first])
    return lambda: next(models, None) or copy.copy(first)


def soon(seconds: float = 10) -> float:
    """A deadline that far from now."""
    return time.monotonic() + seconds
