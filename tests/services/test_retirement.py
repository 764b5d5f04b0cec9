"""Weights that nobody serves from any more go at once: pushes must not fill the memory until a collector comes by."""

import asyncio
import gc
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from services.clip.model import Clip
from services.detection.model import Detector
from services.llava.chat import Message, Picture, Talk
from services.llava.model import Llava
from services.owlvit.model import OwlVit
from shared.serving.batch import AnyModel, Lane
from shared.serving.engine import Engine
from shared.serving.model import Identity
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from shared.serving.stream import StreamLane
from shared.weights.seed import shipped
from tests.processes import ROOT

torch.set_num_threads(1)
CPU = torch.device("cpu")


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def version(model: str) -> Path:
    (path,) = (shipped() / "models" / model).iterdir()
    return path


async def speak(engine: Engine, name: str, item: Any) -> None:
    async with engine.open(name, item, deadline=time.monotonic() + 60) as stream:
        async for _ in stream.pieces():
            pass


async def answer(engine: Engine, name: str, item: Any) -> None:
    await engine.infer(name, item, deadline=time.monotonic() + 60)


@pytest.mark.parametrize(
    ("name", "make"),
    [("clip", Clip), ("owlvit", OwlVit), ("ssd", Detector), ("mask-rcnn", Detector), ("llava", Llava)],
)
def test_retired_weights_are_freed_though_they_have_answered(
    name: str, make: Callable[[torch.device], AnyModel], no_collector: None
) -> None:
    kind, ask = (StreamLane, speak) if make is Llava else (Lane, answer)

    async def main() -> None:
        queue = BatchQueue(limit=8, max_items=4, max_cost=10**9)
        engine = Engine("test", [kind(name, lambda: make(CPU), queue)], pool=Pool(1, limit=8), on_lost=lambda: None)
        engine.start()
        lane, path = engine.lanes[name], version(name)
        await engine.take_over(name, path, Identity(name, "v1", "sha256:1"))
        item = picture_talk() if make is Llava else lane.weights.model.example()  # type: ignore[union-attr]
        await ask(engine, name, item)
        retired = weakref.ref(lane.weights.model)  # type: ignore[union-attr]
        for number in (2, 3):  # the first of these keeps the weights before warm
            assert retired() is not None
            await engine.take_over(name, path, Identity(name, f"v{number}", f"sha256:{number}"))
            await ask(engine, name, item)
        assert retired() is None
        await engine.close()

    asyncio.run(main())


def picture_talk() -> Talk:
    picture = Picture((ROOT / "examples/dark.png").read_bytes())
    return Talk((Message("user", (picture, "Describe the picture.")),), limit=24)
