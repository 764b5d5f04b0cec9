"""What the serving core measures: stages, places of the queue, the device, changes of weights."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from shared.errors import InvalidRequest, Unavailable
from shared.laps import lap
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.metrics import OUTCOMES, RELOADS, kind
from shared.serving.model import RefusedWeights
from tests.shared.serving.counting import Doubler, served, soon
from tests.shared.serving.factors import NAME, Factor, pool, publish, published, queue, swaps_of


def value(name: str, **labels: str) -> float:
    """The value of a series of this process; 0 where there is none."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def stages(model: str) -> dict[str, float]:
    """How often each stage was measured."""
    every = ("decode", "preprocess", "queue", "forward", "postprocess")
    count = "ocelli_inference_stage_duration_seconds_count"
    return {stage: value(count, model=model, stage=stage) for stage in every}


def test_each_item_is_measured_in_every_stage_of_the_core() -> None:
    class Decoding(Doubler):
        def preprocess(self, item: int) -> int:
            with lap("decode"):
                return super().preprocess(item)

    async def body(engine: Engine, _: Doubler) -> None:
        await engine.infer_all("double", [1, 2, 3], deadline=soon())
        with pytest.raises(InvalidRequest):
            await engine.infer("double", 1313, deadline=soon())

    before = stages("double")
    served(body, Decoding())
    after = stages("double")
    assert {stage: after[stage] - before[stage] for stage in ("decode", "preprocess", "queue", "forward")} == {
        "decode": 3, "preprocess": 3, "queue": 3, "forward": 3,
    }  # fmt: skip


def test_the_depth_of_the_queue_meets_its_limit_when_it_begins_to_refuse() -> None:
    async def body(engine: Engine, model: Doubler) -> float:
        model.gate.clear()
        first = asyncio.create_task(engine.infer("double", 0, deadline=soon()))
        while engine.scheduler._busy_until == 0.0:
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(engine.infer("double", n, deadline=soon())) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable):
            await engine.infer("double", 9, deadline=soon())
        depth = value("ocelli_inference_queue_depth", model="double")
        model.gate.set()
        await asyncio.gather(first, *waiting)
        return depth

    depth, _ = served(body, limit=3)
    assert depth == 3 == value("ocelli_inference_queue_limit", model="double")


def test_the_device_is_healthy_until_it_is_lost() -> None:
    async def body(engine: Engine, _: Doubler) -> list[float]:
        seen = [value("ocelli_device_healthy", service="test")]
        with pytest.raises(Unavailable):
            await engine.infer("double", 666, deadline=soon())
        return [*seen, value("ocelli_device_healthy", service="test")]

    assert served(body)[0] == [1, 0]


def test_every_outcome_is_there_before_it_happens() -> None:
    """Otherwise `increase()` would see nothing of the first refusal."""

    async def body(engine: Engine, _: Doubler) -> list[float | None]:
        labels = [{"service": "test", "model": "double", "outcome": outcome} for outcome in OUTCOMES]
        return [REGISTRY.get_sample_value("ocelli_inference_requests_total", each) for each in labels]

    assert None not in served(body)[0]


def test_a_change_of_weights_is_measured_from_its_preparation_to_its_commit(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    publish(store, "wrong", factor=5, golden=6)

    async def main() -> None:
        engine = Engine("test", [Lane(NAME, Factor, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        swaps = swaps_of(engine, store, wait=60, reference=NAME)
        reloads = [{"model": NAME, "outcome": outcome} for outcome in RELOADS]
        assert None not in [REGISTRY.get_sample_value("ocelli_model_reloads_total", each) for each in reloads]
        await swaps.load(NAME)
        try:
            with pytest.raises(RefusedWeights):
                await swaps.prepare(NAME, "wrong", by="ada")
            weights = await swaps.prepare(NAME, "v3", by="ada")
            swaps.commit(NAME, weights.identity.digest, by="ada")
        finally:
            await engine.close()

    def counts() -> list[float]:
        name = "ocelli_model_swap_duration_seconds_count"
        return [value(name, model=NAME, phase=phase) for phase in ("prepare", "commit")]

    before = counts()
    asyncio.run(main())
    assert [after - was for after, was in zip(counts(), before, strict=True)] == [2, 1]


def test_methods_that_no_route_takes_are_one_kind_of_request() -> None:
    kinds = {
        kind(method, route, status)
        for method in ("GET", "DELETE", "OTHER")
        for route, status in (("unmatched", 404), ("/v1/detect", 405))
    }
    assert kinds == {("OTHER", "unmatched", "4xx")}
    assert kind("HEAD", "/v1/models", 200) == kind("GET", "/v1/models", 200)
    assert kind("POST", "/v1/detect", 200) == ("POST", "/v1/detect", "200")


@pytest.mark.parametrize(
    ("status", "told"), [(200, "200"), (401, "4xx"), (413, "4xx"), (429, "429"), (500, "5xx"), (503, "503")]
)
def test_a_status_is_told_where_an_operator_would_act_on_it_and_by_its_class_elsewhere(status: int, told: str) -> None:
    assert kind("POST", "/v1/detect", status)[2] == told
    assert kind("GET", "unmatched", status)[2] == f"{status // 100}xx"
