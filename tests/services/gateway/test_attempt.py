"""Tries as spans, and what a service is told of the trace, with real services and everything kept in memory."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.collector import Lot, provider
from shared.spans import Tracer
from tests.services.gateway.stand import Stand, until
from tests.services.gateway.upstream import echo, failing

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "shop=7"}


class Traced:
    """A tracer and what it made."""

    def __init__(self, ratio: float) -> None:
        self.memory, self.source = InMemorySpanExporter(), provider("gateway", Lot(ratio, trusting=False))
        self.source.add_span_processor(SimpleSpanProcessor(self.memory))
        self.tracer = Tracer(self.source.get_tracer("test"))

    def spans(self, count: int) -> list[tuple[str, dict[str, object]]]:
        """Names and attributes in the order in which they ended, once there are `count`."""
        assert until(lambda: len(self.memory.get_finished_spans()) >= count)
        return [(span.name, dict(span.attributes or {})) for span in self.memory.get_finished_spans()]


@pytest.fixture
def traced() -> Iterator[Traced]:
    made = Traced(1)
    yield made
    made.source.shutdown()


def test_a_service_is_told_of_the_try_and_not_of_the_callers_span(tmp_path: Path, traced: Traced) -> None:
    with echo() as service, Stand(tmp_path, service, tracer=traced.tracer) as stand:
        stand.client.post(f"{stand.url}/v1/detect", content=b"x", headers=GOOD)
        (sent, attributes), _ = traced.spans(2)
        span = traced.memory.get_finished_spans()[0]
        assert service.seen[0].headers["traceparent"] == f"00-{TRACE}-{span.context.span_id:016x}-01"
        assert service.seen[0].headers["tracestate"] == "shop=7"
    assert sent == "POST detection"
    assert attributes == {
        "http.request.method": "POST", "server.address": "127.0.0.1", "server.port": service.port,
        "ocelli.upstream.outcome": "ok", "http.response.status_code": 200,
    }  # fmt: skip


def test_a_second_try_is_a_second_span(tmp_path: Path, traced: Traced) -> None:
    with failing(502) as broken, echo() as service, Stand(tmp_path, broken, service, tracer=traced.tracer) as stand:
        for _ in range(2):  # one of the two begins at the replica that is broken
            assert stand.client.post(f"{stand.url}/v1/detect", content=b"x").status_code == 200
        tries = [attributes for name, attributes in traced.spans(5) if name == "POST detection"]
    failed = [attributes for attributes in tries if attributes.get("error.type")]
    assert [one["ocelli.upstream.outcome"] for one in failed] == ["error"]
    assert [one.get("http.request.resend_count") for one in tries].count(1) == 1


def test_an_error_of_a_service_is_an_error_of_the_try_and_of_the_request(tmp_path: Path, traced: Traced) -> None:
    with failing(500) as service, Stand(tmp_path, service, tracer=traced.tracer) as stand:
        assert stand.client.post(f"{stand.url}/v1/detect", content=b"x").status_code == 500
        assert [attributes["error.type"] for _, attributes in traced.spans(2)] == ["error", "500"]


def test_what_a_hostile_caller_says_of_its_trace_goes_nowhere(tmp_path: Path, traced: Traced) -> None:
    lies = [
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01",
        b"ff-" + b"a" * 50,
        b"x" * 5000,
        b"00-%n-%s-01",
        b"\xff\xfe",
    ]
    with echo() as service, Stand(tmp_path, service, tracer=traced.tracer) as stand:
        for lie in lies:
            headers = [(b"traceparent", lie), (b"tracestate", b"evil=1")]
            assert stand.client.post(f"{stand.url}/v1/detect", content=b"x", headers=headers).status_code == 200
        told = [seen.headers for seen in service.seen]
    assert len({headers["traceparent"][3:35] for headers in told}) == len(lies)
    assert not any("tracestate" in headers for headers in told)


def test_what_the_gateway_does_not_keep_no_service_keeps(tmp_path: Path) -> None:
    traced = Traced(0)
    with echo() as service, Stand(tmp_path, service, tracer=traced.tracer) as stand:
        stand.client.post(f"{stand.url}/v1/detect", content=b"x", headers=GOOD)
        assert service.seen[0].headers["traceparent"].startswith(f"00-{TRACE}-")
        assert service.seen[0].headers["traceparent"].endswith("-00")
    assert not traced.memory.get_finished_spans()
    traced.source.shutdown()


def test_without_traces_the_callers_words_pass_as_they_are(tmp_path: Path) -> None:
    with echo() as service, Stand(tmp_path, service) as stand:
        stand.client.post(f"{stand.url}/v1/detect", content=b"x", headers=GOOD)
        assert service.seen[0].headers["traceparent"] == GOOD["traceparent"]
