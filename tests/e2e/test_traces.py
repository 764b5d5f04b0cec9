"""One trace over gateway, service, queue and batch, as a collector sees it that real processes send to."""

import base64
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from tests.collecting import Collecting, Seen
from tests.processes import ROOT, Running, running

TRACE, CHAT, MATES = "0af7651916cd43dd8448eb211c80319c", "1bf7651916cd43dd8448eb211c80319c", "2cf7651916cd43dd8448eb21"
CALLER = "b7ad6b7169203331"
PICTURE = (ROOT / "examples/scene.jpg").read_bytes()
QUESTION = "How many cyan shapes are there?"
# All that any span may tell; none of it is a caller's word.
ATTRIBUTES = {
    "http.request.method", "http.route", "http.response.status_code", "http.request.body.size",
    "http.request.resend_count", "server.address", "server.port", "error.type", "ocelli.upstream.outcome",
    "ocelli.batch.size", "ocelli.model", "ocelli.model.version", "gen_ai.operation.name", "gen_ai.request.model",
    "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens",
}  # fmt: skip


@pytest.fixture(scope="module")
def collector() -> Iterator[Collecting]:
    with pytest.MonkeyPatch.context() as environment, Collecting() as collecting:
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        yield collecting


@pytest.fixture(scope="module")
def gateway(collector: Collecting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    common: dict[str, Any] = {"state": tmp_path_factory.mktemp("state"), "traces": collector.url}
    with (
        running("services.detection", models="ssd", **common) as detection,
        running("services.llava", **common) as llava,
        running("services.gateway", detection=detection.url, llava=llava.url, clip="", owlvit="", **common) as gateway,
    ):
        yield gateway
        detection.terminate()
        assert detection.wait() == 0


def under(trace: str) -> dict[str, str]:
    return {"content-type": "image/jpeg", "traceparent": f"00-{trace}-{CALLER}-01", "tracestate": "shop=7"}


def detect(gateway: Running, trace: str) -> None:
    answer = httpx.post(f"{gateway.url}/v1/detect", content=PICTURE, headers=under(trace), timeout=60)
    assert answer.status_code == 200


def one(spans: list[Seen], name: str, service: str) -> Seen:
    (found,) = [span for span in spans if (span.name, span.service) == (name, f"ocelli-{service}")]
    return found


def test_a_request_is_one_trace_from_the_gateway_to_the_device(gateway: Running, collector: Collecting) -> None:
    detect(gateway, TRACE)
    spans = collector.of(TRACE, count=7)
    server, sent = one(spans, "POST /v1/detect", "gateway"), one(spans, "POST detection", "gateway")
    served = one(spans, "POST /v1/detect", "detection")
    assert (server.parent, sent.parent, served.parent) == (CALLER, server.id, sent.id)
    stages = [one(spans, name, "detection") for name in ("preprocess", "queue", "forward", "render")]
    assert {stage.parent for stage in stages} == {served.id}
    assert all(before.end <= after.start + 1_000_000 for before, after in pairwise(stages))
    assert all(span.start <= span.end for span in spans)
    assert server.attributes["http.route"] == "/v1/detect"
    assert sent.attributes["ocelli.upstream.outcome"] == "ok"
    assert stages[2].attributes == {"ocelli.batch.size": 1, "ocelli.model": "ssd", "ocelli.model.version": "shapes-1"}
    assert not any(span.failed for span in spans)


def test_a_batch_is_a_trace_of_its_own_to_which_its_items_of_several_traces_point(
    gateway: Running, collector: Collecting
) -> None:
    traces = [f"{MATES}{number:08x}" for number in range(1, 25)]
    callers = [threading.Thread(target=detect, args=(gateway, trace)) for trace in traces]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    forwards = [one(collector.of(trace, count=7), "forward", "detection") for trace in traces]
    shared = max(forwards, key=lambda forward: int(forward.attributes["ocelli.batch.size"]))
    assert shared.attributes["ocelli.batch.size"] > 1
    (link,) = shared.links
    (batch,) = collector.of(link[0], count=1)
    assert (batch.name, batch.id, batch.parent) == ("batch", link[1], "")
    together = [forward for forward in forwards if forward.links == (link,)]
    assert len(together) == batch.attributes["ocelli.batch.size"]
    assert {trace for trace, _ in batch.links} == {forward.trace for forward in together}


def test_a_chat_tells_its_first_word_and_its_tokens_and_nothing_that_was_said(
    gateway: Running, collector: Collecting
) -> None:
    picture = "data:image/png;base64," + base64.b64encode((ROOT / "examples/dark.png").read_bytes()).decode()
    content = [{"type": "image_url", "image_url": {"url": picture}}, {"type": "text", "text": QUESTION}]
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, "stream": True}
    headers = {"traceparent": f"00-{CHAT}-{CALLER}-01"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers, timeout=60)
    assert "[DONE]" in answer.text
    spans = collector.of(CHAT, count=8)
    names = [span.name for span in spans if span.service == "ocelli-llava" and not span.name.startswith("POST")]
    assert names == ["talk_of", "preprocess", "queue", "prefill", "decode"]
    counted = one(spans, "decode", "llava").attributes
    assert (counted["gen_ai.usage.input_tokens"], counted["gen_ai.usage.output_tokens"]) == (78, 3)


def test_spans_tell_nothing_but_names_and_numbers_of_ours(gateway: Running, collector: Collecting) -> None:
    secret, trace = "sk-secret-0123456789", "3df7651916cd43dd8448eb211c80319c"
    headers = under(trace) | {"authorization": f"Bearer {secret}", "x-request-id": secret, "host": secret}
    answer = httpx.post(f"{gateway.url}/v1/detect?labels={secret}", content=PICTURE, headers=headers, timeout=60)
    assert answer.status_code == 400
    spans = collector.of(trace, count=4)
    assert {name for span in collector.spans for name in span.attributes} <= ATTRIBUTES
    told = [str(value) for span in collector.spans for value in (span.name, *span.attributes.values())]
    assert not any(secret in text or QUESTION in text for text in told)
    refused = [span for span in spans if span.attributes.get("error.type")]
    assert {span.name for span in refused} == {"POST detection", "preprocess"}
    assert not one(spans, "POST /v1/detect", "gateway").failed


def test_log_lines_carry_the_ids_of_the_span_that_they_belong_to(gateway: Running, collector: Collecting) -> None:
    trace = "4ef7651916cd43dd8448eb211c80319c"
    detect(gateway, trace)
    server = one(collector.of(trace, count=7), "POST /v1/detect", "gateway")
    (line,) = [line for line in gateway.lines if line.get("trace_id") == trace]
    assert (line["event"], line["span_id"]) == ("request", server.id)
    assert line["request_id"]


def test_probes_leave_no_trace(gateway: Running, collector: Collecting) -> None:
    assert httpx.get(f"{gateway.url}/readyz").status_code == 200
    detect(gateway, "5ff7651916cd43dd8448eb211c80319c")
    collector.of("5ff7651916cd43dd8448eb211c80319c", count=7)
    assert not any("probe" in span.name or span.name == "request" for span in collector.spans)
