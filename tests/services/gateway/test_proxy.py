"""Forwarding through a real gateway to real services: what passes, what does not, and what the caller is told."""

import asyncio
import http.client
import itertools
import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from aiohttp import web

from shared.settings import Limits
from tests.services.gateway.stand import Stand, refused
from tests.services.gateway.upstream import Upstream, echo


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    with echo() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def gateway(service: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    limits = Limits(body_bytes=4_000_000)
    with Stand(tmp_path_factory.mktemp("state"), service, deadline_s=5, limits=limits) as stand:
        yield stand


@pytest.mark.parametrize("size", [0, 1, 84_000, 999_999, 1_000_001, 3_500_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_bodies_pass_byte_by_byte_in_both_directions(
    gateway: Stand, service: Upstream, size: int, chunked: bool
) -> None:
    body = random.Random(size).randbytes(size)
    content = iter([body[: size // 3], body[size // 3 :]]) if chunked else body
    answer = gateway.client.post(
        f"{gateway.url}/v1/detect?a=%20b&c", content=content, headers={"content-type": "image/x"}
    )
    assert (answer.status_code, answer.content) == (200, body)
    assert answer.headers["x-model-version"] == "v1"
    seen = service.seen[-1]
    assert (seen.method, seen.target, seen.headers["content-type"]) == ("POST", "/v1/detect?a=%20b&c", "image/x")


def test_nothing_is_added_to_a_request_but_what_belongs_to_the_way(gateway: Stand, service: Upstream) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
        connection.sendall(
            b"POST /v1/detect HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\nAuthorization: Bearer secret\r\n"
            b"Cookie: a=b\r\nTE: trailers\r\nConnection: close, x-mine\r\nX-Mine: 1\r\nX-Request-Id: r-1\r\n"
            b"Proxy-Authorization: x\r\nX-Forwarded-For: 1.2.3.4\r\nTraceparent: t\r\nTracestate: s\r\n"
            b"X-Other: \xc3\xa4\r\n\r\nab"
        )
        while connection.recv(65536):
            pass
    headers = dict(service.seen[-1].headers)
    left = float(headers.pop("x-request-deadline-ms"))
    assert 4000 < left <= 5000
    assert headers == {
        "host": f"127.0.0.1:{service.port}",
        "content-length": "2",
        "x-request-id": "r-1",
        "traceparent": "t",
        "tracestate": "s",
        "x-other": "ä",
    }


def test_an_answer_keeps_its_fields_but_those_of_the_connection(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await replica.note(request)
        headers = {"connection": "x-hop", "x-hop": "1", "set-cookie": "a=b", "server-timing": "q;dur=1", "server": "s"}
        return web.Response(body=b"x", headers=headers, content_type="text/x")

    with Upstream(answer) as replica, Stand(tmp_path, replica) as gateway:
        headers = gateway.client.post(f"{gateway.url}/v1/detect").headers
        assert "x-hop" not in headers and "server" not in headers
        assert (headers["set-cookie"], headers["server-timing"]) == ("a=b", "q;dur=1")
        assert len(headers.get_list("date")) == len(headers.get_list("x-content-type-options")) == 1
        gateway.client.post(f"{gateway.url}/v1/detect")
        assert "cookie" not in replica.seen[-1].headers  # neither the caller's, nor one kept for somebody else


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 501, 503, 504, 507])
def test_an_error_of_the_service_passes_as_it_is(
    tmp_path_factory: Any, gateway: Stand, service: Upstream, status: int
) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        return web.json_response({"error": {"code": "overloaded"}}, status=status, headers={"retry-after": "7"})

    previous, service.answer = service.answer, answer
    try:
        got = gateway.client.post(f"{gateway.url}/v1/detect", content=b"x")
    finally:
        service.answer = previous
    assert (got.status_code, got.json(), got.headers["retry-after"]) == (status, {"error": {"code": "overloaded"}}, "7")


def test_an_answer_streams_piece_by_piece(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for number in range(4):
            await response.write(f"data: {number}\n\n".encode())
            await asyncio.sleep(0.15)
        return response

    with Upstream(answer) as service, Stand(tmp_path, service) as gateway:
        times, pieces = [], []
        with gateway.client.stream("POST", f"{gateway.url}/v1/detect") as response:
            for piece in response.iter_raw():
                pieces.append(piece)
                times.append(time.monotonic())
    assert pieces == [f"data: {number}\n\n".encode() for number in range(4)]
    assert all(0.1 < later - earlier < 0.5 for earlier, later in itertools.pairwise(times))


def test_a_stream_of_events_that_breaks_off_ends_with_an_event_that_says_so(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Hi"}}]}\n\ndata: {"cho')
        assert request.transport is not None
        request.transport.abort()
        return response

    with Upstream(answer) as service, Stand(tmp_path, service, llava=service.url) as gateway:
        stock = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0)
        heard = []
        with pytest.raises(openai.APIError) as told:
            for chunk in stock.chat.completions.create(model="llava", messages=[], stream=True):
                heard.append(chunk.choices[0].delta.content)
        assert heard == ["Hi"] and told.value.code == "upstream_failed"


def test_chat_has_more_time_than_all_else(tmp_path: Path) -> None:
    async def answer(_: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.6)
        return web.Response(body=b"{}")

    times: dict[str, Any] = {"deadline_s": 0.3, "try_s": 0.3, "idle_s": 0.3, "chat_s": 5}
    with Upstream(answer) as service, Stand(tmp_path, service, llava=service.url, **times) as gateway:
        assert gateway.client.post(f"{gateway.url}/v1/chat/completions", json={}).status_code == 200
        assert gateway.client.post(f"{gateway.url}/v1/tokenize", json={}).status_code == 504


def test_a_large_request_streams_piece_by_piece(tmp_path: Path) -> None:
    arrived = threading.Event()

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.readany()
        arrived.set()
        return web.Response(text=str(len(await request.read())))

    with Upstream(answer) as service, Stand(tmp_path, service) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        connection.putrequest("POST", "/v1/detect")
        connection.putheader("transfer-encoding", "chunked")
        connection.endheaders()
        connection.send(b"3\r\nabc\r\n")
        assert arrived.wait(3)  # the service has the first piece before the last one was sent
        connection.send(b"0\r\n\r\n")
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize("streaming", [False, True])
def test_a_caller_who_leaves_cancels_the_request_to_the_service(tmp_path: Path, streaming: bool) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        if streaming:
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"first")
        await asyncio.sleep(30)
        return web.Response()

    with Upstream(answer) as service, Stand(tmp_path, service) as gateway:
        connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
        connection.request("POST", "/v1/detect", body=b"x" * 1000)
        time.sleep(0.3)
        assert not service.cancelled.is_set()
        connection.close()
        assert service.cancelled.wait(1)


def test_a_caller_who_leaves_in_the_middle_of_a_large_upload_ends_it(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        async for _ in request.content.iter_any():
            pass
        return web.Response()

    with Upstream(answer) as service, Stand(tmp_path, service) as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            connection.sendall(
                b"POST /v1/detect HTTP/1.1\r\nhost: x\r\ncontent-length: 3000000\r\n\r\n" + b"x" * 500_000
            )
            time.sleep(0.3)
        assert service.cancelled.wait(2)


def test_a_service_that_is_too_slow_is_a_504_within_the_callers_own_deadline(gateway: Stand, service: Upstream) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    previous, service.answer = service.answer, answer
    began = time.monotonic()
    try:
        got = gateway.client.post(f"{gateway.url}/v1/detect", headers={"x-request-deadline-ms": "300"})
    finally:
        service.answer = previous
    assert (got.status_code, got.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert 0.25 < time.monotonic() - began < 1.5


@pytest.mark.parametrize("wish", ["0", "-1", "1.5", "soon", "1" * 12])
def test_a_deadline_that_is_no_number_is_refused(gateway: Stand, wish: str) -> None:
    got = gateway.client.post(f"{gateway.url}/v1/detect", headers={"x-request-deadline-ms": wish})
    assert (got.status_code, got.json()["error"]["param"]) == (400, "x-request-deadline-ms")


def test_a_service_that_is_not_there_is_a_503_at_once(tmp_path: Path) -> None:
    with Stand(tmp_path, refused()) as gateway:
        began = time.monotonic()
        for _ in range(3):
            got = gateway.client.post(f"{gateway.url}/v1/detect", content=b"x" * 84_000)
            assert (got.status_code, got.json()["error"]["code"]) == (503, "upstream_unavailable")
            assert got.headers["retry-after"]
        assert time.monotonic() - began < 1


def test_a_service_that_is_not_deployed_says_so(gateway: Stand) -> None:
    got = gateway.client.post(f"{gateway.url}/v1/embeddings", json={"input": "a"})
    assert (got.status_code, got.json()["error"]["code"]) == (503, "upstream_unavailable")
    assert "clip service is not deployed" in got.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/detect/", 404),
        ("GET", "/V1/detect", 404),
        ("POST", "/v1//detect", 404),
        ("POST", "/v1/./detect", 404),
        ("POST", "/metrics", 404),
        ("GET", "/v1/detect", 405),
        ("DELETE", "/v1/models", 405),
        ("PATCH", "/v1/detect", 405),
    ],
)
def test_what_is_no_route_is_told_so(gateway: Stand, service: Upstream, method: str, path: str, status: int) -> None:
    count = len(service.seen)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request(method, path, headers={"host": "127.0.0.1/v1/detect?"})
    answer = connection.getresponse()
    body = json.loads(answer.read())
    connection.close()
    assert (answer.status, body["status"]) == (status, status)
    assert (answer.headers["allow"] is not None) == (status == 405)
    assert len(service.seen) == count


def test_options_tells_the_methods_and_head_has_no_body(gateway: Stand) -> None:
    options = gateway.client.options(f"{gateway.url}/v1/models")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, HEAD, OPTIONS")
    head = gateway.client.head(f"{gateway.url}/docs")
    assert (head.status_code, head.content) == (200, b"")


def test_a_compressed_body_is_refused(gateway: Stand) -> None:
    got = gateway.client.post(f"{gateway.url}/v1/detect", content=b"x", headers={"content-encoding": "gzip"})
    assert (got.status_code, got.json()["error"]["param"]) == (415, "content-encoding")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_413(gateway: Stand, chunked: bool) -> None:
    content = iter([b"x" * 2_500_000] * 2) if chunked else b"x" * 4_000_001
    try:
        got = gateway.client.post(f"{gateway.url}/v1/detect", content=content)
    except httpx.WriteError:
        return  # the answer was given, and the connection closed, while the rest was still being sent
    assert (got.status_code, got.json()["error"]["code"]) == (413, "body_too_large")
