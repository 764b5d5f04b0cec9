"""Second tries: when there is one, when there is none, and how many there may be."""

import asyncio
import os
from pathlib import Path

import httpx
import pytest
from aiohttp import web

from tests.services.gateway.stand import Stand, refused
from tests.services.gateway.upstream import Upstream, echo, failing


def test_a_refused_connection_is_tried_again_elsewhere(tmp_path: Path) -> None:
    with echo() as service:
        with Stand(tmp_path, refused(), service, probe_s=60) as gateway:
            answers = [gateway.client.post(f"{gateway.url}/v1/detect", content=b"x").status_code for _ in range(20)]
        assert answers == [200] * 20 and len(service.seen) == 20


@pytest.mark.parametrize(("status", "code"), [(503, "draining"), (503, "not_ready"), (502, "")])
def test_an_answer_that_nothing_was_run_is_tried_once_more_elsewhere(tmp_path: Path, status: int, code: str) -> None:
    with failing(status, code) as bad, echo() as good, Stand(tmp_path, bad, good, probe_s=60) as gateway:
        assert [gateway.client.post(f"{gateway.url}/v1/detect", content=b"x").status_code for _ in range(4)] == [
            200
        ] * 4
        assert len(bad.seen) >= 1 and len(good.seen) == 4


@pytest.mark.parametrize(
    ("status", "code"), [(503, "overloaded"), (500, "internal_error"), (429, ""), (400, ""), (404, "")]
)
def test_an_answer_that_tells_of_the_request_or_of_load_is_never_tried_again(
    tmp_path: Path, status: int, code: str
) -> None:
    with failing(status, code) as one, failing(status, code) as two, Stand(tmp_path, one, two) as gateway:
        assert [gateway.client.post(f"{gateway.url}/v1/detect").status_code for _ in range(4)] == [status] * 4
        assert (len(one.seen), len(two.seen)) == (2, 2)


def test_a_connection_that_breaks_before_the_answer_is_tried_again_and_after_its_first_byte_never(
    tmp_path: Path,
) -> None:
    begin = ""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await broken.note(request)
        assert request.transport is not None
        if begin:
            response = web.StreamResponse(headers={"content-length": "100"} if begin == "held" else {})
            await response.prepare(request)
            await response.write(b"some")
            await asyncio.sleep(0.1)
        request.transport.abort()
        return web.Response()

    with Upstream(answer) as broken, echo() as good, Stand(tmp_path, broken, good) as gateway:
        url = f"{gateway.url}/v1/detect"
        assert [httpx.post(url, content=b"x").status_code for _ in range(2)] == [200] * 2
        assert (len(broken.seen), len(good.seen)) == (1, 2)
        begin = "held"
        assert sorted(httpx.post(url, content=b"x").status_code for _ in range(2)) == [200, 502]
        assert len(good.seen) == 3
        begin = "streamed"
        outcomes = []
        for _ in range(2):
            try:
                outcomes.append(httpx.post(url, content=b"x").text)
            except httpx.RemoteProtocolError:
                outcomes.append("broken off")
        assert sorted(outcomes) == ["broken off", "x"]
        assert len(good.seen) == 4


def test_a_streamed_upload_of_which_a_part_is_gone_is_never_tried_again(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.content.readany()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    body = os.urandom(2_000_000)
    with Upstream(answer) as broken, echo() as good, Stand(tmp_path, broken, good) as gateway:
        answers = [gateway.client.post(f"{gateway.url}/v1/detect", content=body) for _ in range(2)]
        assert sorted(answer.status_code for answer in answers) == [200, 502]
        assert len(good.seen) == 1


def test_second_tries_stay_within_their_budget(tmp_path: Path) -> None:
    with failing(502) as one, failing(502) as two:
        with Stand(tmp_path, one, two, eject_failures=100_000) as gateway, httpx.Client() as client:
            for _ in range(100):
                assert client.post(f"{gateway.url}/v1/detect").status_code == 502
        assert 103 <= len(one.seen) + len(two.seen) <= 113  # 10 %, in at most two windows of ten seconds
