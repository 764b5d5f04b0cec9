"""Traces of one process: on and off, whose trace is continued, which are kept, and what an absent collector costs."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import tracing
from shared.collector import Lot, provider
from shared.spans import Tracer
from shared.tracing import Parent
from tests.collecting import Collecting
from tests.processes import ROOT, environment, running

ECHO = "tests.shared.serving.echo"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
GOOD = f"00-{TRACE}-{CALLER}-01".encode()
HOSTILE = {
    "nothing": b"",
    "a word": b"trace",
    "no ids": b"00---01",
    "zero trace": b"00-" + b"0" * 32 + b"-" + CALLER.encode() + b"-01",
    "zero span": b"00-" + TRACE.encode() + b"-" + b"0" * 16 + b"-01",
    "version ff": b"ff" + GOOD[2:],
    "upper case": GOOD.upper(),
    "short trace": GOOD.replace(TRACE.encode(), TRACE[1:].encode()),
    "long trace": GOOD.replace(TRACE.encode(), TRACE.encode() + b"a"),
    "short span": GOOD.replace(CALLER.encode(), CALLER[1:].encode()),
    "no flags": GOOD[:-3],
    "long flags": GOOD + b"1",
    "more behind": GOOD + b"-more",
    "two joined": GOOD + b"," + GOOD,
    "spaces": b" " + GOOD,
    "underscores": GOOD.replace(b"-", b"_"),
    "no hex": GOOD.replace(b"a", b"g"),
    "signs": GOOD.replace(b"0a", b"+a"),
    "other digits": GOOD.replace(b"01", "०१".encode()),
    "zero bytes": GOOD.replace(b"a", b"\0"),
    "line ends": GOOD + b"\r\nx-injected: 1",
    "format": b"00-%s-%n-01",
    "very long": GOOD * 200,
}


@pytest.fixture
def kept() -> Iterator[Callable[..., InMemorySpanExporter]]:
    """Serve a request under `parent` with a sampler, and what is exported of it."""
    made = []

    def serve(sampler: Lot, parent: Parent | None, *, times: int = 1) -> InMemorySpanExporter:
        memory, source = InMemorySpanExporter(), provider("test", sampler)
        source.add_span_processor(SimpleSpanProcessor(memory))
        made.append(source)
        for _ in range(times):
            Tracer(source.get_tracer("test")).serve("request", parent).end()
        return memory

    yield serve
    for source in made:
        source.shutdown()


def test_nothing_of_opentelemetry_is_loaded_while_traces_are_off() -> None:
    code = "import sys, services.gateway.main; sys.exit(any(m.startswith('opentelemetry') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    code = "import sys, shared.serving.app, shared.serving.engine; sys.exit('opentelemetry.sdk' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_a_block_costs_nothing_where_nothing_is_traced() -> None:
    assert tracing.here() is None
    with tracing.span("block"):
        assert tracing.here() is None


def test_a_well_formed_parent_is_read_with_its_flag_and_state() -> None:
    headers = {b"traceparent": GOOD, b"tracestate": b"a=1"}
    assert tracing.parent_of(headers) == Parent(TRACE, CALLER, sampled=True, state="a=1")
    later = tracing.parent_of({b"traceparent": b"cc" + GOOD[2:-2] + b"02"})
    assert later == Parent(TRACE, CALLER, sampled=False, state="")


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_malformed_parent_is_ignored(kind: str) -> None:
    assert tracing.parent_of({b"traceparent": HOSTILE[kind], b"tracestate": b"a=1"}) is None


@pytest.mark.parametrize("state", ["=", "a=1,a=2", "a=" + "x" * 10_000, "ÿ=1", "a=1," * 50, "a\0=1"])
def test_a_malformed_state_does_no_harm(state: str, kept: Callable[..., InMemorySpanExporter]) -> None:
    (span,) = kept(Lot(1, trusting=True), Parent(TRACE, CALLER, True, state)).get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE


def test_a_state_is_passed_on(kept: Callable[..., InMemorySpanExporter]) -> None:
    (span,) = kept(Lot(1, trusting=True), Parent(TRACE, CALLER, True, "shop=7,b=2")).get_finished_spans()
    assert span.context.trace_state.to_header() == "shop=7,b=2"


def test_a_share_of_the_traces_is_kept(kept: Callable[..., InMemorySpanExporter]) -> None:
    assert len(kept(Lot(0, trusting=True), None, times=200).get_finished_spans()) == 0
    assert 60 < len(kept(Lot(0.5, trusting=True), None, times=200).get_finished_spans()) < 140
    assert len(kept(Lot(1, trusting=True), None, times=200).get_finished_spans()) == 200


@pytest.mark.parametrize("sampled", [True, False])
def test_a_service_keeps_what_the_gateway_keeps(sampled: bool, kept: Callable[..., InMemorySpanExporter]) -> None:
    parent = Parent(TRACE, CALLER, sampled, "")
    found = kept(Lot(0 if sampled else 1, trusting=True), parent).get_finished_spans()
    assert len(found) == int(sampled)


def test_a_caller_from_outside_cannot_have_its_trace_kept_or_hidden(kept: Callable[..., InMemorySpanExporter]) -> None:
    for sampled in (True, False):
        parent = Parent(TRACE, CALLER, sampled, "")
        assert len(kept(Lot(0, trusting=False), parent).get_finished_spans()) == 0
        assert len(kept(Lot(1, trusting=False), parent).get_finished_spans()) == 1


def test_what_is_left_is_sent_at_the_end_of_the_process() -> None:
    with Collecting() as collector, running(ECHO, traces=collector.url, traces_ratio=1) as echo:
        assert httpx.get(echo.url, headers={"traceparent": GOOD.decode()}).status_code == 200
        assert not collector.spans  # the usual time between two deliveries is five seconds
        echo.terminate()
        assert echo.wait() == 0
        (span,) = collector.spans
        assert (span.trace, span.parent, span.service) == (TRACE, CALLER, "ocelli-process")


def test_an_absent_collector_is_told_once_and_holds_up_neither_requests_nor_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "0.2")
    with Collecting() as collector:
        port = collector.port
    with running(ECHO, traces=f"http://127.0.0.1:{port}") as echo, httpx.Client() as client:
        for _ in range(2):
            assert all(client.get(echo.url, timeout=2).status_code == 200 for _ in range(50))
            time.sleep(0.5)
        with Collecting(port) as back:
            assert client.get(echo.url).status_code == 200
            echo.wait_for("traces_sent", 10)
            assert back.spans
        client.get(echo.url)
        began = time.monotonic()
        echo.terminate()
        assert echo.wait() == 0
        assert time.monotonic() - began < 6
        assert [line["event"] for line in echo.lines if line["event"].startswith("traces_")][:2] == [
            "traces_lost",
            "traces_sent",
        ]
        assert not any("opentelemetry" in str(line) for line in echo.lines)


def test_an_address_that_is_none_stops_the_start_with_a_sentence() -> None:
    for address in ("collector:4318", "ftp://collector", "http://user:word@collector"):
        ended = subprocess.run(
            [sys.executable, "-m", ECHO], cwd=ROOT, env=environment({"traces": address}), capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 78
        assert "OCELLI_TRACES" in ended.stderr


def test_without_the_extra_the_start_stops_with_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shared.collector", None)
    with pytest.raises(SystemExit), tracing.opened("http://c:4318", service="x", ratio=1, trusting=True):
        pass
