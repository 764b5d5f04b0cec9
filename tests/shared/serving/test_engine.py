"""The life of a request, seen from the route: what is answered, what is refused, and what is never run."""

import asyncio
import random
from pathlib import Path

import pytest

from shared.errors import (
    DeadlineExceeded,
    InvalidRequest,
    ModelNotFound,
    OcelliError,
    OutOfMemory,
    Unavailable,
)
from shared.serving.engine import Answer, Engine
from shared.serving.model import Case, Identity, RefusedWeights
from tests.shared.serving.counting import Doubler, served, soon


def test_an_item_comes_back_with_its_result_its_weights_and_its_stages() -> None:
    async def body(engine: Engine, _: Doubler) -> Answer:
        return await engine.infer("double", 21, deadline=soon())

    answer, _ = served(body)
    assert answer.result == 42
    assert answer.identity == Identity("double", "v2", "sha256:2")
    assert set(answer.stages) == {"preprocess", "queue", "forward"}
    assert all(seconds >= 0 for seconds in answer.stages.values())


def test_only_the_device_thread_predicts() -> None:
    async def body(engine: Engine, _: Doubler) -> object:
        return await engine.infer_all("double", list(range(20)), deadline=soon())

    _, model = served(body)
    assert model.threads == {"device"}


def test_what_waits_when_the_device_frees_makes_one_batch_in_order_of_arrival() -> None:
    async def body(engine: Engine, model: Doubler) -> object:
        model.gate.clear()
        first = asyncio.create_task(engine.infer("double", 1, deadline=soon()))
        await asyncio.sleep(0.05)
        rest = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in range(2, 12)]
        await asyncio.sleep(0.05)
        model.gate.set()
        return [answer.result for answer in await asyncio.gather(first, *rest)]

    results, model = served(body)
    assert results == [2 * n for n in range(1, 12)]
    assert [len(batch) for batch in model.batches] == [1, 8, 2]


def test_the_cost_budget_bounds_a_batch_and_one_item_always_fits() -> None:
    async def body(engine: Engine, model: Doubler) -> object:
        model.gate.clear()
        tasks = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in (5, 60, 30, 20, 99, 200)]
        await asyncio.sleep(0.1)
        model.gate.set()
        return await asyncio.gather(*tasks)

    _, model = served(body, max_cost=100)
    assert max(sum(batch) for batch in model.batches if len(batch) > 1) <= 100
    assert [200] in model.batches


@pytest.mark.parametrize("poisons", [{0}, {3}, {7}, {0, 7}, {2, 3, 4}])
def test_a_poison_item_fails_alone_and_its_batch_mates_are_answered(poisons: set[int]) -> None:
    items = [-1 if n in poisons else n + 1 for n in range(8)]

    async def body(engine: Engine, model: Doubler) -> list[object]:
        model.gate.clear()
        blocker = asyncio.create_task(engine.infer("double", 1, deadline=soon()))
        await asyncio.sleep(0.05)
        tasks = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in items]
        await asyncio.sleep(0.05)
        model.gate.set()
        await blocker
        return list(await asyncio.gather(*tasks, return_exceptions=True))

    outcomes, model = served(body)
    for n, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
        if n in poisons:
            assert isinstance(outcome, OcelliError) and outcome.code == "model_failed"
            assert "nobody may see" not in outcome.message
        else:
            assert outcome.result == 2 * item  # type: ignore[attr-defined]
    assert len(model.batches) - 1 <= 2 * len(poisons) * 3 + 1


def test_wrong_input_is_refused_before_the_queue() -> None:
    async def body(engine: Engine, _: Doubler) -> None:
        with pytest.raises(InvalidRequest, match="1313 is refused"):
            await engine.infer("double", 1313, deadline=soon())
        assert engine.lane("double").queue.reserved == 0

    _, model = served(body)
    assert model.batches == []


def test_an_unknown_model_is_named_with_those_that_are_served() -> None:
    async def body(engine: Engine, _: Doubler) -> None:
        with pytest.raises(ModelNotFound, match="double"):
            await engine.infer("triple", 1, deadline=soon())

    served(body)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def body(engine: Engine, model: Doubler) -> tuple[int, float]:
        model.gate.clear()
        tasks: list[asyncio.Task[Answer]] = []
        while not engine.lane("double").queue.full or len(tasks) < 5:
            tasks.append(asyncio.create_task(engine.infer("double", len(tasks), deadline=soon())))
            await asyncio.sleep(0.01)
        loop = asyncio.get_running_loop()
        began, refused = loop.time(), 0
        for _ in range(20):
            with pytest.raises(Unavailable) as caught:
                await engine.infer("double", 1, deadline=soon())
            refused += caught.value.retry_after is not None
        took = loop.time() - began
        model.gate.set()
        assert [answer.result for answer in await asyncio.gather(*tasks)] == [2 * n for n in range(len(tasks))]
        return refused, took

    (refused, took), _ = served(body, limit=4)
    assert refused == 20
    assert took < 0.5


def test_what_cannot_meet_its_deadline_is_refused_on_arrival() -> None:
    async def body(engine: Engine, model: Doubler) -> None:
        tasks = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in range(40)]
        await asyncio.sleep(0.03)
        before = len(model.batches)
        with pytest.raises(Unavailable, match="deadline"):
            await engine.infer("double", 1000, deadline=soon(0.06))
        assert len(model.batches) - before <= 1  # at once: the device had no time to get through the queue
        await asyncio.gather(*tasks)

    _, model = served(body, Doubler(seconds=0.05))
    assert [1000] not in model.batches


def test_a_late_answer_is_a_504_and_its_item_is_never_run() -> None:
    async def body(engine: Engine, model: Doubler) -> None:
        model.gate.clear()
        blocker = asyncio.create_task(engine.infer("double", 1, deadline=soon()))
        await asyncio.sleep(0.05)
        with pytest.raises(DeadlineExceeded):
            await engine.infer("double", 77, deadline=soon(0.05))
        model.gate.set()
        await blocker

    _, model = served(body)
    assert all(77 not in batch for batch in model.batches)


def test_an_item_whose_caller_left_is_never_run() -> None:
    async def body(engine: Engine, model: Doubler) -> None:
        model.gate.clear()
        blocker = asyncio.create_task(engine.infer("double", 1, deadline=soon()))
        await asyncio.sleep(0.05)
        left = asyncio.create_task(engine.infer("double", 77, deadline=soon()))
        await asyncio.sleep(0.05)
        left.cancel()
        model.gate.set()
        await blocker
        assert (await engine.infer("double", 5, deadline=soon())).result == 10
        assert engine.lane("double").queue.reserved == 0

    _, model = served(body)
    assert all(77 not in batch for batch in model.batches)


def test_out_of_memory_halves_the_batch_answers_everyone_and_remembers() -> None:
    async def body(engine: Engine, model: Doubler) -> tuple[list[int], int]:
        model.gate.clear()
        tasks = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in range(17)]
        await asyncio.sleep(0.1)
        model.gate.set()
        answers = [answer.result for answer in await asyncio.gather(*tasks)]
        return answers, engine.lane("double").queue.batch_limit

    (results, limit), model = served(body, Doubler(capacity=3))
    assert results == [2 * n for n in range(17)]
    assert limit == 2
    too_large = [len(batch) for batch in model.batches if len(batch) > 3]
    assert len(too_large) <= 2  # 8, then 4; never again


def test_an_item_that_does_not_fit_alone_is_told_so() -> None:
    async def body(engine: Engine, _: Doubler) -> None:
        with pytest.raises(OutOfMemory):
            await engine.infer("double", 1, deadline=soon())

    model = Doubler()

    async def shrink(engine: Engine, m: Doubler) -> None:
        m.capacity = 0
        await body(engine, m)

    served(shrink, model)


def test_a_lost_device_tells_everyone_to_retry_and_turns_readiness_off() -> None:
    async def body(engine: Engine, _: Doubler) -> None:
        with pytest.raises(Unavailable) as first:
            await engine.infer("double", 666, deadline=soon())
        with pytest.raises(Unavailable) as later:
            await engine.infer("double", 1, deadline=soon())
        assert first.value.code == later.value.code == "device_lost"
        assert engine.health == "device lost"

    _, model = served(body)
    assert model.batches == [[666]]


def test_weights_that_fail_their_golden_case_are_refused_and_the_old_go_on() -> None:
    class Critic(Doubler):
        def golden(self) -> list[Case[int, int]]:
            return [Case(3, lambda result: "never right" if result == 21 else None)]

    async def body(engine: Engine, _: Doubler) -> Answer:
        await engine.take_over("double", Path("5"), Identity("double", "v5", "sha256:5"))
        with pytest.raises(RefusedWeights, match="golden case 0 of double: never right"):
            await engine.take_over("double", Path("7"), Identity("double", "v7", "sha256:7"))
        return await engine.infer("double", 2, deadline=soon())

    answer, _ = served(body, Critic())
    assert (answer.result, answer.identity.version) == (10, "v5")


def test_closing_answers_everything_that_was_accepted() -> None:
    async def body(engine: Engine, _: Doubler) -> list[int]:
        tasks = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in range(30)]
        await asyncio.sleep(0.02)
        await engine.close()
        return [answer.result for answer in await asyncio.gather(*tasks)]

    results, _ = served(body, Doubler(seconds=0.01))
    assert results == [2 * n for n in range(30)]


def test_no_answer_is_swapped_and_none_is_lost_among_cancels_and_poison() -> None:
    chance = random.Random(5)

    async def client(engine: Engine, number: int) -> int:
        settled = 0
        for turn in range(60):
            item = number * 1000 + turn + 1000
            kind = chance.random()
            task = asyncio.create_task(engine.infer("double", -item if kind < 0.05 else item, deadline=soon()))
            if kind > 0.9:
                await asyncio.sleep(chance.random() * 0.004)
                task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            if isinstance(outcome, OcelliError):
                assert kind < 0.05
            elif not isinstance(outcome, BaseException):
                assert outcome.result == 2 * item
            settled += 1
        return settled

    async def body(engine: Engine, _: Doubler) -> list[int]:
        return list(await asyncio.gather(*(client(engine, n) for n in range(32))))

    settled, model = served(body, Doubler(seconds=0.001))
    assert settled == [60] * 32
    assert sum(map(len, model.batches)) / len(model.batches) > 3
