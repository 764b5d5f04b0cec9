"""A tiny model whose weights are a number, and versions of it in a store: an answer shows which weights gave it."""

import json
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from shared.serving.engine import Engine
from shared.serving.model import Case, Model, RefusedWeights
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from shared.serving.swap import Swaps
from shared.weights.manifest import Card, Made
from shared.weights.store import Store

NAME = "factor"


class Factor(Model[int, int, int, dict[str, Any]]):
    """Multiplies by what its version says; a batch takes `seconds`, and the golden case `pieces` of 5 ms."""

    room: int | None = None  # bytes that are free, of which a version takes 10

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}

    def read(self, path: Path) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads((path / "config.json").read_text())
        if "factor" not in fields:
            raise RefusedWeights("config.json names no factor.")
        return {"golden": fields["factor"], "seconds": 0.0, "pieces": 0, **fields}

    def use(self, state: dict[str, Any]) -> None:
        self.fields = state

    def preprocess(self, item: int) -> int:
        return item

    def predict(self, batch: Sequence[int]) -> Sequence[int]:
        time.sleep(self.fields["seconds"])
        if self.fields.get("raises"):
            raise RuntimeError("device text that nobody may see")
        return [self.fields["factor"] * number for number in batch]

    def rehearse(self, batch: Sequence[int]) -> Generator[None, None, Sequence[int]]:
        for _ in range(self.fields["pieces"] if 2 in batch else 0):
            time.sleep(0.005)
            yield
        return self.predict(batch)

    def spare(self) -> int | None:
        return self.room

    def demand(self, path: Path) -> int:
        return 10

    def example(self) -> int:
        return 1

    def golden(self) -> Sequence[Case[int, int]]:
        right = 2 * self.fields["golden"]
        return [Case(2, lambda result: None if result == right else f"{result} is not {right}")]


def publish(store: Store, version: str, **fields: object) -> str:
    """Publish a version of `factor` with these fields in its config; returns its digest."""
    folder = Path(store.url.removeprefix("file://")).parent / "sources" / version
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(fields))
    return store.publish(folder, Card(model=NAME, version=version, made=Made(by="a test"))).digest


def published(folder: Path, *factors: int) -> Store:
    """A store with a version `v<n>` for each factor, the first being champion."""
    store = Store(f"file://{folder}/store")
    for factor in factors:
        publish(store, f"v{factor}", factor=factor)
    store.move_alias(NAME, "champion", f"v{factors[0]}", expected=None)
    return store


def swaps_of(engine: Engine, store: Store, *, wait: float = 60, reference: str = NAME) -> Swaps:
    """The swaps of a process that serves `factor`."""
    cache = Path(store.url.removeprefix("file://")) / "cache"
    return Swaps(engine, store, cache=cache, references={NAME: reference}, wait=wait)


def pool() -> Pool:
    return Pool(2, limit=500)


def queue() -> BatchQueue:
    return BatchQueue(limit=64, max_items=8, max_cost=10**9)
