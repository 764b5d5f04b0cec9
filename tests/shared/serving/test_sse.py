"""A stream through a real process: its frames, its pings, its errors, and readers who stall or leave."""

import socket
import time
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.processes import Running, running
from tests.shared.serving.streaming import CHUNK, DONE


@pytest.fixture(scope="module")
def streaming() -> Iterator[Running]:
    with running("tests.shared.serving.streaming", limits__stall_s=0.5) as process:
        yield process


def connect(process: Running, path: str, receive_buffer: int | None = None) -> socket.socket:
    """A connection on which a request has been sent and nothing has been read."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(5)
    connection.connect(("127.0.0.1", process.port))
    connection.sendall(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    return connection


def wait_for_close(process: Running, path: str) -> None:
    """Wait until the source of the frames of `path` has been closed."""
    while process.wait_for("closed", 5)["path"] != path:
        pass


def ask(process: Running, path: str) -> "openai.Stream[openai.types.chat.ChatCompletionChunk]":
    client = openai.OpenAI(base_url=process.url + path, api_key="none", max_retries=0)
    return client.chat.completions.create(model="m", messages=[], stream=True)


def test_frames_arrive_as_they_are_with_the_headers_of_a_stream(streaming: Running) -> None:
    answer = httpx.get(f"{streaming.url}/plain")
    assert answer.content == CHUNK + CHUNK + DONE
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-model-version"] == "v1"
    assert "content-length" not in answer.headers


def test_silence_is_filled_with_comments(streaming: Running) -> None:
    content = httpx.get(f"{streaming.url}/pause").content
    pings = content.count(b": ping\n\n")
    assert 2 <= pings <= 3
    assert content == CHUNK + b": ping\n\n" * pings + CHUNK + DONE


def test_the_stock_client_reads_over_the_comments(streaming: Running) -> None:
    assert [chunk.choices[0].delta.content for chunk in ask(streaming, "/plain")] == ["Hi", "Hi"]


def test_an_error_before_the_first_frame_has_its_status(streaming: Running) -> None:
    answer = httpx.get(f"{streaming.url}/refused")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "thing")


@pytest.mark.parametrize(("path", "code"), [("/late", "deadline_exceeded"), ("/broken", "internal_error")])
def test_an_error_amid_the_stream_is_raised_by_the_stock_client(streaming: Running, path: str, code: str) -> None:
    heard = []
    with pytest.raises(openai.APIError) as caught:
        heard += [chunk.choices[0].delta.content for chunk in ask(streaming, path)]
    assert (caught.value.code, caught.value.param) == (code, None)
    assert "secret" not in str(caught.value.body)


def test_after_an_error_the_stream_ends_without_done(streaming: Running) -> None:
    content = httpx.get(f"{streaming.url}/late/chat/completions", headers={"x-request-id": "r1"}).content
    assert content.startswith(CHUNK) and content.endswith(b"}\n\n") and DONE not in content
    assert b'"status":504' in content and b'"request_id":"r1"' in content


@pytest.mark.parametrize("path", ["/endless", "/silent"])
def test_the_source_is_closed_within_100_ms_when_the_reader_leaves(streaming: Running, path: str) -> None:
    took = []
    for _ in range(3):  # the machine may be busy once
        with connect(streaming, path) as connection:
            while CHUNK not in connection.recv(65536):
                pass
            left = time.monotonic()
        wait_for_close(streaming, path)
        took.append(time.monotonic() - left)
    assert min(took) < 0.1


def test_a_reader_who_stalls_is_cut_and_the_others_are_served(streaming: Running) -> None:
    with connect(streaming, "/flood", receive_buffer=4096):
        began = time.monotonic()
        assert httpx.get(f"{streaming.url}/plain").content.endswith(DONE)
        wait_for_close(streaming, "/flood")
        assert 0.4 < time.monotonic() - began < 1.5
        assert any(line["event"] == "reader_cut" for line in streaming.lines)


def test_a_reader_who_is_slow_and_goes_on_reading_is_not_cut(streaming: Running) -> None:
    with connect(streaming, "/flood", receive_buffer=65536) as connection:
        began, taken = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            taken += len(connection.recv(1_000_000))
            time.sleep(0.01)
        assert taken > 3_000_000
        assert connection.recv(1)
