"""Answers that come piece by piece: who gets which, who is refused, and what is left when somebody leaves."""

import asyncio
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
from prometheus_client import REGISTRY

from shared.errors import DeadlineExceeded, InvalidRequest, OcelliError, Unavailable
from shared.serving.engine import Engine
from shared.serving.metrics import REQUESTS
from shared.serving.model import DeviceLost, Identity
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from shared.serving.stream import Outcome, Stream, StreamLane, StreamModel
from tests.shared.serving.counting import factory, soon

T = TypeVar("T")


class Counter(StreamModel[int, int, int, int]):
    """Counts to a number, one at a step, four at once; 666 loses the device, a negative number is refused."""

    def __init__(self) -> None:
        self.waiting: list[tuple[int, Stream]] = []
        self.speaking: dict[Stream, tuple[int, int]] = {}
        self.steps = 0
        self.gate = threading.Event()
        self.gate.set()

    def read(self, path: Path) -> int:
        return int(path.name)

    def use(self, state: int) -> None:
        pass

    def preprocess(self, item: int) -> int:
        if item < 0:
            raise InvalidRequest("Negative numbers are refused.", param="number")
        return item

    def predict(self, batch: Sequence[int]) -> Sequence[int]:
        return batch

    def example(self) -> int:
        return 1

    def admit(self, features: int, stream: Stream) -> None:
        if features == 1313:
            raise InvalidRequest("1313 is refused late.", param="number")
        self.waiting.append((features, stream))

    @property
    def busy(self) -> bool:
        return bool(self.waiting or self.speaking)

    def step(self) -> Iterable[Outcome]:
        self.gate.wait()
        time.sleep(0.001)
        self.steps += 1
        while self.waiting and len(self.speaking) < 4:
            end, stream = self.waiting.pop(0)
            self.speaking[stream] = (0, end)
        for stream, (number, end) in list(self.speaking.items()):
            if end == 666:
                raise DeviceLost("sticky")
            if not stream.wanted() or number == end:
                del self.speaking[stream]
                yield stream, None, True, None
                continue
            self.speaking[stream] = (number + 1, end)
            if number + 1 == end:
                del self.speaking[stream]
            yield stream, number + 1, number + 1 == end, None


def served(body: Callable[[Engine, Counter], Awaitable[T]], *, limit: int = 64) -> T:
    """Run `body` against a started engine that serves a counter as `count`; afterwards nothing may be left."""
    model = Counter()

    async def main() -> T:
        lost = asyncio.Event()
        lane = StreamLane("count", factory(model), BatchQueue(limit=limit, max_items=4, max_cost=100))
        engine = Engine("test", [lane], pool=Pool(2, limit=100), on_lost=lost.set)
        engine.start()
        await engine.take_over("count", Path("1"), Identity("count", "v1", "sha256:1"))
        try:
            return await asyncio.wait_for(body(engine, model), 30)
        finally:
            model.gate.set()
            await engine.close()
            assert not model.busy or lost.is_set()
            assert lane.queue.reserved == 0

    return asyncio.run(main())


async def heard(engine: Engine, item: int, *, deadline: float | None = None) -> list[int]:
    """All pieces of an answer."""
    async with engine.open("count", item, deadline=deadline or soon()) as stream:
        return [piece async for fresh in stream.pieces() for piece in fresh]


def test_everybody_hears_their_own_count_to_its_end() -> None:
    async def body(engine: Engine, _: Counter) -> list[list[int]]:
        return await asyncio.gather(*(heard(engine, n) for n in range(1, 60)))

    assert served(body) == [list(range(1, n + 1)) for n in range(1, 60)]


def test_a_stream_tells_its_weights_and_how_long_it_waited() -> None:
    async def body(engine: Engine, _: Counter) -> None:
        async with engine.open("count", 3, deadline=soon()) as stream:
            await anext(aiter(stream.pieces()))
            assert stream.identity == Identity("count", "v1", "sha256:1")
            assert stream.stages["queue"] >= 0 and stream.stages["first"] > 0

    served(body)


@pytest.mark.parametrize("item", [-1, 1313], ids=["in preprocessing", "when it is let in"])
def test_wrong_input_is_refused_alone(item: int) -> None:
    async def body(engine: Engine, _: Counter) -> None:
        good = asyncio.create_task(heard(engine, 50))
        with pytest.raises(InvalidRequest):
            await heard(engine, item)
        assert len(await good) == 50

    served(body)


def test_who_finds_no_place_is_counted_as_overload() -> None:
    refused = REQUESTS.labels("test", "count", "overload")
    before = refused._value.get()

    async def body(engine: Engine, model: Counter) -> None:
        model.gate.clear()
        waiting = [asyncio.create_task(heard(engine, 1)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await heard(engine, 1)
        model.gate.set()
        await asyncio.gather(*waiting)

    served(body, limit=2)
    assert refused._value.get() == before + 1


def test_who_leaves_is_not_counted_for_and_hurts_nobody() -> None:
    async def body(engine: Engine, model: Counter) -> None:
        other = asyncio.create_task(heard(engine, 100))
        async with engine.open("count", 10**6, deadline=soon()) as stream:
            await anext(aiter(stream.pieces()))
        left = model.steps
        assert len(await other) == 100
        assert stream not in model.speaking
        assert model.steps - left < 110

    served(body)


def test_a_thousand_random_departures_leave_nothing_behind() -> None:
    async def one(engine: Engine, chance: random.Random) -> None:
        async with engine.open("count", chance.randrange(1, 30), deadline=soon()) as stream:
            pieces = aiter(stream.pieces())
            for _ in range(chance.randrange(4)):
                await anext(pieces, None)

    async def body(engine: Engine, _: Counter) -> None:
        for turn in range(40):
            chance = random.Random(turn)
            tasks = [asyncio.create_task(one(engine, chance)) for _ in range(25)]
            await asyncio.sleep(chance.random() * 0.01)
            for task in tasks:
                if chance.random() < 0.5:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    served(body)


def test_who_is_late_is_told_so_in_time_even_while_the_device_is_stuck() -> None:
    async def body(engine: Engine, model: Counter) -> float:
        model.gate.clear()
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            await heard(engine, 5, deadline=soon(0.2))
        model.gate.set()
        return time.monotonic() - began

    assert served(body) < 1


def test_who_finds_no_place_is_refused_at_once() -> None:
    async def body(engine: Engine, model: Counter) -> None:
        model.gate.clear()
        waiting = [asyncio.create_task(heard(engine, 3)) for _ in range(6)]
        await asyncio.sleep(0.05)
        with pytest.raises(Unavailable) as refused:
            await heard(engine, 3)
        assert refused.value.retry_after is not None
        model.gate.set()
        assert [len(each) for each in await asyncio.gather(*waiting)] == [3] * 6

    served(body, limit=6)


def test_when_the_device_is_lost_everybody_is_told_to_retry() -> None:
    async def body(engine: Engine, _: Counter) -> list[object]:
        tasks = [heard(engine, n) for n in (1000, 666, 1000)]
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    for error in served(body):
        assert isinstance(error, OcelliError) and error.code == "device_lost"


def test_weights_are_taken_over_while_streams_go_on() -> None:
    async def body(engine: Engine, _: Counter) -> Any:
        stream = asyncio.create_task(heard(engine, 200))
        await asyncio.sleep(0.02)
        await asyncio.wait_for(engine.take_over("count", Path("2"), Identity("count", "v2", "sha256:2")), 1)
        assert not stream.done()
        return len(await stream)

    assert served(body) == 200


def test_steps_are_measured_as_the_batches_that_they_are() -> None:
    def seen() -> list[float]:
        stage, batch = "ocelli_inference_stage_duration_seconds_count", "ocelli_inference_batch_size_sum"
        stages = [{"model": "count", "stage": stage} for stage in ("preprocess", "queue", "forward")]
        return [
            *(REGISTRY.get_sample_value(stage, each) or 0.0 for each in stages),
            REGISTRY.get_sample_value(batch, {"model": "count"}) or 0.0,
        ]

    async def body(engine: Engine, model: Counter) -> int:
        began = model.steps
        await asyncio.gather(heard(engine, 3), heard(engine, 5))
        return model.steps - began

    before = seen()
    steps = served(body)
    assert [now - was for now, was in zip(seen(), before, strict=True)] == [2, 2, steps, 8]
