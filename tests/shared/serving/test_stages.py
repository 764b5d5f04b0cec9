"""The stages of items as spans, made from their timestamps by the real engine and kept in memory."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing
from shared.collector import Lot, provider
from shared.errors import DeadlineExceeded, OcelliError
from shared.serving.engine import Engine
from shared.spans import Tracer
from tests.shared.serving.counting import POISON, Doubler, served, soon


def told(*items: int, seconds: float = 10, ratio: float = 1, model: Doubler | None = None) -> Sequence[ReadableSpan]:
    """The spans of requests for `items`, all at once, each in a trace of its own."""
    memory, source = InMemorySpanExporter(), provider("test", Lot(ratio, trusting=True))
    source.add_span_processor(SimpleSpanProcessor(memory))
    tracer = Tracer(source.get_tracer("test"))

    async def ask(engine: Engine, item: int) -> None:
        span = tracer.serve("request", None)
        tracing.enter(span)
        try:
            await engine.infer("double", item, deadline=soon(seconds))
        except OcelliError as error:
            span.end(error=error.code)
        else:
            span.end()

    async def body(engine: Engine, doubler: Doubler) -> None:
        doubler.gate.clear()
        asking = [asyncio.create_task(ask(engine, item)) for item in items]
        await asyncio.sleep(0.1)  # the first one holds the device, all others wait for it
        if seconds > 1:
            doubler.gate.set()
        await asyncio.gather(*asking)

    served(body, model)
    source.shutdown()
    return memory.get_finished_spans()


def named(spans: Sequence[ReadableSpan], name: str) -> list[ReadableSpan]:
    return [span for span in spans if span.name == name]


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def test_the_stages_of_an_item_are_parts_of_its_request_and_follow_each_other() -> None:
    spans = told(1)
    (request,) = named(spans, "request")
    stages = [named(spans, name)[0] for name in ("preprocess", "queue", "forward")]
    assert all(stage.parent is not None and stage.parent.span_id == request.context.span_id for stage in stages)
    for before, after in pairwise(stages):
        assert before.end_time is not None and after.start_time is not None
        assert abs(before.end_time - after.start_time) < 1_000_000


def test_items_of_several_traces_point_at_the_batch_that_they_shared_and_it_points_back() -> None:
    spans = told(1, 2, 3, 4, 5)
    batch = max(named(spans, "batch"), key=lambda span: len(span.links))
    assert batch.parent is None
    assert attribute(batch, "ocelli.batch.size") == len(batch.links) > 1
    items = [s for s in named(spans, "forward") if s.links[0].context.span_id == batch.context.span_id]
    assert len(items) == len(batch.links)
    assert {link.context.trace_id for link in batch.links} == {item.context.trace_id for item in items}
    assert {attribute(item, "ocelli.batch.size") for item in items} == {len(items)}


def test_only_the_guilty_item_of_a_batch_has_the_error() -> None:
    spans = told(1, 2, POISON, 4)
    failed = [span for span in named(spans, "forward") if attribute(span, "error.type")]
    assert [attribute(span, "error.type") for span in failed] == ["model_failed"]
    assert len(named(spans, "forward")) == 4
    assert "device text" not in str([span.to_json() for span in spans])


def test_an_item_that_is_refused_ends_in_preprocess() -> None:
    spans = told(1313)
    assert {span.name for span in spans} == {"request", "preprocess"}
    assert attribute(named(spans, "preprocess")[0], "error.type") == "invalid_request"


def test_an_item_that_is_late_tells_where_its_time_went() -> None:
    spans = told(1, 2, seconds=0.3)
    late = [span for span in spans if attribute(span, "error.type") == DeadlineExceeded.default_code]
    assert {span.name for span in late} >= {"request", "forward"}
    assert all(span.end_time - span.start_time > 10**8 for span in late if span.end_time and span.start_time)


@pytest.mark.parametrize("ratio", [0, 1])
def test_what_is_not_kept_has_no_stages(ratio: int) -> None:
    assert bool(told(1, ratio=ratio)) == bool(ratio)
