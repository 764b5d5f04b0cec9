"""The edge of a real process: limits, deadlines, identifiers, probes, and the order in which it ends."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.processes import ROOT, Running, environment, running

ECHO = "tests.shared.serving.echo"


@pytest.fixture(scope="module")
def echo() -> Iterator[Running]:
    with running(ECHO, limits__header_s=0.6, limits__body_s=0.8, limits__body_bytes=100_000) as process:
        yield process


def raw(process: Running, request: bytes, seconds: float = 5) -> bytes:
    """What comes back for bytes on a socket, until the server closes it or `seconds` have passed."""
    with socket.create_connection(("127.0.0.1", process.port), timeout=seconds) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def test_a_body_within_the_limit_is_served(echo: Running) -> None:
    answer = httpx.post(echo.url, content=b"x" * 99_999)
    assert (answer.status_code, answer.text) == (200, "99999")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers


def test_a_request_id_is_kept_when_it_is_harmless_and_replaced_when_not(echo: Running) -> None:
    assert httpx.get(echo.url, headers={"x-request-id": "abc-1.2:3"}).headers["x-request-id"] == "abc-1.2:3"
    for hostile in (b"a b", b"x" * 200, b"http://169.254.169.254/", b"\xc3\xa4"):
        answered = httpx.get(echo.url, headers=[(b"x-request-id", hostile)]).headers["x-request-id"]
        assert len(answered) == 32


def test_a_trace_is_bound_to_the_log_lines(echo: Running) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    httpx.get(echo.url, headers={"traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    time.sleep(0.2)
    assert any(line.get("trace_id") == trace and line["event"] == "request" for line in echo.lines)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_a_413_in_our_own_words(echo: Running, chunked: bool) -> None:
    content = iter([b"x" * 60_000] * 2) if chunked else b"x" * 120_000
    answer = httpx.post(echo.url, content=content)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "body_too_large"
    assert answer.headers["x-should-retry"] == "false"


def test_an_encoded_body_is_refused(echo: Running) -> None:
    answer = httpx.post(echo.url, content=b"x", headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (415, "content-encoding")


def test_an_error_of_the_application_has_both_shapes(echo: Running) -> None:
    body = httpx.get(f"{echo.url}/refused", headers={"x-request-id": "r1"}).json()
    assert body == {
        "type": "urn:ocelli:error:invalid_request",
        "title": "Bad Request",
        "status": 400,
        "detail": "Send a better one.",
        "instance": "/refused",
        "request_id": "r1",
        "error": {
            "message": "Send a better one.",
            "type": "invalid_request_error",
            "param": "thing",
            "code": "invalid_request",
        },
    }


def test_a_foreign_exception_is_a_500_that_tells_nothing(echo: Running) -> None:
    answer = httpx.get(f"{echo.url}/broken")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "secret" not in answer.text and "0x" not in answer.text


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"".join(b"x-%d: 1\r\n" % n for n in range(70)), b"431"),
        (b"x-long: " + b"a" * 17_000 + b"\r\n", b"431"),
        (b"bad header name: 1\r\n", b"400"),
        (b"content-length: 3\r\ntransfer-encoding: chunked\r\n", b"400"),
        (b"content-length: -1\r\n", b"400"),
        (b"content-length: 1\r\ncontent-length: 2\r\n", b"400"),
    ],
)
def test_bad_headers_are_refused_before_the_application(echo: Running, head: bytes, status: bytes) -> None:
    answer = raw(echo, b"POST / HTTP/1.1\r\nhost: x\r\n" + head + b"\r\n")
    assert answer.split(b" ", 2)[1] == status
    assert b'"error"' in answer and b"connection: close" in answer


def test_a_long_url_is_refused(echo: Running) -> None:
    assert raw(echo, b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n").split(b" ", 2)[1] == b"431"


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\nhost: x\r\n"])
def test_slow_headers_are_cut_off(echo: Running, start: bytes) -> None:
    began = time.monotonic()
    answer = raw(echo, start)
    assert 0.4 < time.monotonic() - began < 2
    assert answer.startswith(b"HTTP/1.1 408")


def test_a_slow_body_is_cut_off(echo: Running) -> None:
    began = time.monotonic()
    answer = raw(echo, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    assert 0.6 < time.monotonic() - began < 3
    assert answer.startswith(b"HTTP/1.1 408") and b"request_timeout" in answer


def test_who_leaves_cancels_the_work(echo: Running) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{echo.url}/slow", timeout=0.2)
    assert echo.wait_for("cancelled", 3)
    line = echo.wait_for("request", 3)
    assert line["status"] == 499


def test_probes_answer_on_both_ports_and_metrics_on_the_management_port_alone(echo: Running) -> None:
    for path in ("/livez", "/readyz", "/startupz", "/healthz", "/health"):
        assert httpx.get(echo.url + path).json()["status"] == "ok"
        assert httpx.get(echo.management + path).json()["status"] == "ok"
    assert "http_server_request_duration_seconds" not in httpx.get(f"{echo.url}/metrics").text
    assert "http_server_request_duration_seconds_bucket" in httpx.get(f"{echo.management}/metrics").text


def test_promtool_accepts_the_metrics(echo: Running) -> None:
    exposition = httpx.get(f"{echo.management}/metrics").text
    promtool = ROOT / ".venv/bin/promtool"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=exposition, text=True, capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_no_label_takes_its_value_from_a_request(echo: Running) -> None:
    def series() -> set[str]:
        lines = httpx.get(f"{echo.management}/metrics").text.splitlines()
        return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}

    def visit(number: int) -> None:
        httpx.request(
            f"X{number}", f"{echo.url}/path{number}", headers={"host": f"h{number}", "x-request-id": str(number)}
        )

    visit(0)
    before = series()
    for number in range(1, 40):
        visit(number)
    assert series() == before


def test_sigterm_answers_what_was_accepted_and_exits_with_0() -> None:
    request = b"POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc"
    with running(ECHO, drain_delay_s=1.5) as process, contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", process.port), timeout=10)) for _ in range(20)
        ]
        for connection in connections:
            connection.sendall(request)
        time.sleep(0.2)
        process.terminate()
        process.wait_for("draining", 5)
        assert httpx.get(f"{process.management}/readyz").status_code == 503
        assert httpx.get(f"{process.management}/livez").status_code == 200
        still_served = httpx.post(process.url, content=b"ab")
        assert still_served.text == "2" and still_served.headers["connection"] == "close"
        for connection in connections:
            answer = b""
            while not answer.endswith(b"\r\n\r\n3"):
                answer += connection.recv(4096) or pytest.fail("it was cut off")
        assert process.wait() == 0
    events = [line["event"] for line in process.lines if line["event"] != "request"]
    assert events == ["listening", "ready", "draining", "life_closed", "stopped"]


def test_sigterm_while_starting_ends_at_once() -> None:
    with running(ECHO, ready=False) as process:
        process.terminate()
        assert process.wait(5) == 0


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"prot": 1}, "Did you mean OCELLI_PORT?"),
        ({"port": 70000}, "OCELLI_PORT"),
        ({"limits__body_bytes": "much"}, "OCELLI_LIMITS__BODY_BYTES"),
        ({"limits__nothing": 1}, "OCELLI_LIMITS__NOTHING"),
        ({"log_level": "loud"}, "OCELLI_LOG_LEVEL"),
    ],
)
def test_a_wrong_setting_stops_the_start_with_a_sentence(settings: dict[str, object], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", ECHO], cwd=ROOT, env=environment(settings), capture_output=True, text=True, check=False
    )
    assert done.returncode == 78
    assert sentence in done.stderr and "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_named() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", ECHO],
            cwd=ROOT,
            env=environment({"port": port}),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 78
    assert f"127.0.0.1:{port}" in done.stderr and "OCELLI_PORT" in done.stderr
