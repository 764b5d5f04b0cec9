"""`make load`: arrivals that do not wait, streams, verdicts, and whole runs against a server and against the house."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from loadtests.locust.course import Course
from loadtests.locust.events import Told
from loadtests.locust.scenarios import SCENARIOS, asks
from loadtests.locust.schedule import Phase, Schedule
from loadtests.locust.shapes import SHAPES, steps
from loadtests.locust.verdicts import Sample, Verdict, judge, table
from loadtests.slo import Promise, promises
from tests.house import House
from tests.processes import ROOT

PROMISE = Promise("detection", 0.999, 0.99, 1.0)
PHASE = Phase("steady", 10, 10)


@contextmanager
def server(*, stall: tuple[float, float] = (0, 0), status: int = 200) -> Iterator[str]:
    """A server that answers at once, but nobody between two times after its first request; ends with the block."""
    began: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            began.append(time.monotonic())
            age = time.monotonic() - began[0]
            if stall[0] <= age < stall[1]:
                time.sleep(stall[1] - age)
            body = b'{"data": []}' if status == 200 else b'{"error": {"code": "overloaded"}}'
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            return

    ThreadingHTTPServer.daemon_threads = True
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()


def load(url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A run, as `make load` starts it."""
    command = [sys.executable, "-m", "locust", "-f", "loadtests/locust/locustfile.py", "--headless", "--only-summary"]
    return subprocess.run(
        [*command, "--host", url, *arguments], cwd=ROOT, env=os.environ | {"LOCUST_LOGLEVEL": "WARNING"},
        capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip


def test_a_schedule_has_exactly_the_rate_and_is_written_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    schedule = Schedule()
    schedule.extend(Phase("one", 50, 4))
    schedule.extend(Phase("two", 10, 2))
    slots = [slot for _ in range(220) if (slot := schedule.take())]
    assert [slot.phase.name for slot in slots] == ["one"] * 200 + ["two"] * 20
    assert all(102 <= slot.at <= 106 for slot in slots[:200])
    assert all(106 <= slot.at <= 108 for slot in slots[200:])
    schedule.close()
    assert schedule.take() is None


def test_a_slot_that_is_overdue_keeps_its_time() -> None:
    schedule = Schedule()
    schedule.extend(Phase("steady", 100, 0.1))
    time.sleep(2.3)
    began = time.monotonic()
    slots = [schedule.take() for _ in range(10)]
    assert time.monotonic() - began < 0.2
    assert all(slot and slot.at < began for slot in slots)


def test_a_stalled_server_shows_in_everybodys_wait_and_not_in_one() -> None:
    with server(stall=(1.0, 3.0)) as url:
        run = load(url, "--scenario", "ssd", "--rate", "20", "--seconds", "5")
    assert run.returncode == 1
    _, row = (line.split() for line in run.stdout.splitlines() if line.startswith(("phase", "steady  detection")))
    asked, slowest = int(row[2]), float(row[5])
    assert asked == 100
    assert 1_500 < slowest < 2_700
    # Of the 100 about 20 come in the stall's first second, and wait for more than the one that is promised.
    assert "detection in steady: " in run.stdout
    within = float(run.stdout.split("detection in steady: ")[1].split("%")[0])
    assert 65 <= within <= 92


def test_refusals_break_the_promise_and_are_told_by_kind() -> None:
    with server(status=503) as url:
        run = load(url, "--scenario", "ssd", "--rate", "10", "--seconds", "1")
    assert run.returncode == 1
    assert "10 503 overloaded" in run.stdout
    assert "0.00% answered, promised 99.9%" in run.stdout


def test_nobody_there_is_a_failure_and_not_a_traceback() -> None:
    run = load("http://127.0.0.1:9", "--scenario", "ssd", "--rate", "5", "--seconds", "1")
    assert run.returncode == 1
    assert "5 ConnectionRefusedError" in run.stdout


def test_a_short_run_on_the_house_keeps_the_promises_and_writes_the_report(house: House, tmp_path: Path) -> None:
    report = tmp_path / "load.html"
    run = load(house.gateway.url, "--rate", "4", "--seconds", "6", "--html", str(report))
    rows = {line.split()[1]: line.split() for line in run.stdout.splitlines() if line.startswith("steady ")}
    assert set(rows) == {"detection", "clip", "owlvit", "llava"}
    assert sum(int(row[2]) for row in rows.values()) == 24
    assert not any("wrong answer" in " ".join(row) for row in rows.values())
    assert run.returncode == (0 if all(row[-1] == "kept" for row in rows.values()) else 1)
    assert "llava first token" in report.read_text()
    assert "llava gap between tokens" in run.stderr + run.stdout


def event(content: str | None) -> bytes:
    """A line of a stream."""
    return b"data: " + json.dumps({"choices": [{"delta": {"role": "assistant", "content": content}}]}).encode() + b"\n"


def test_a_token_has_come_when_text_has() -> None:
    told = Told()
    lines = [event(None), event("Two"), b"\n", event("."), b'data: {"choices": [], "usage": {}}\n', b"data: [DONE]\n"]
    for now, line in enumerate(lines):
        told.read(line, now)
    assert (told.pieces, told.gaps, told.failure) == ([1, 3], [2], "")


@pytest.mark.parametrize(
    ("lines", "failure"),
    [
        ([event("Two")], "broken off"),
        ([event(None), b"data: [DONE]\n"], "no text"),
        ([event("Two"), b'data: {"error": {"code": "device_lost"}}\n'], "device_lost"),
    ],
)
def test_a_stream_that_is_no_answer_says_why(lines: list[bytes], failure: str) -> None:
    told = Told()
    for line in lines:
        told.read(line, 0)
    assert told.failure == failure


def samples(fast: int, slow: int = 0, failed: int = 0) -> list[Sample]:
    """Requests of one phase."""
    waits = [Sample(PHASE, "detection", wait) for wait in [0.1] * fast + [1.5] * slow]
    return waits + [Sample(PHASE, "detection", 0.1, failure="503 overloaded")] * failed


@pytest.mark.parametrize(
    ("given", "broken"),
    [
        (samples(990, 10), 0),
        (samples(989, 11), 1),
        (samples(999, 0, 1), 0),
        (samples(998, 0, 2), 1),
        (samples(90, 8, 2), 2),
        (samples(0, 0, 5), 1),
    ],
)
def test_a_promise_is_kept_up_to_its_share(given: list[Sample], broken: int) -> None:
    assert len(Verdict(PHASE, PROMISE, given).broken) == broken


def test_only_answers_within_the_promise_are_good() -> None:
    (verdict,) = judge(samples(60, 20, 20), {"detection": PROMISE})
    assert verdict.row()[2:6] == ["100", "6.00", "100", "1500"]
    assert "20 503 overloaded" in table([verdict])
    assert median(verdict.answers) == 0.1


def test_a_spike_is_told_and_what_follows_it_is_judged() -> None:
    ((before, spike, recovery, after),) = SHAPES["spike"](2, 60)
    assert [before.judged, spike.judged, recovery.judged, after.judged] == [True, False, False, True]
    assert spike.rate == 10
    told = table([Verdict(spike, PROMISE, samples(1, 9))])
    assert "told only" in told
    assert "detection in" not in told


def test_steps_end_with_the_first_that_breaks_and_the_one_before_is_the_saturation_point() -> None:
    schedule = Schedule()
    course = Course(steps(10, 0.01), {"detection": PROMISE}, schedule)
    waits = iter([0.1, 0.1, 0.1, 1.5, 0.1])
    while course.turn():
        if not course.schedule.left and course._leg and len(course._samples) == 0:
            course.tell(Sample(course._leg[0], "detection", next(waits)))
        schedule.until = 0.0
    assert course.broken
    assert course.sustained == pytest.approx(10 * 1.1**2)
    assert len(course.verdicts) == 4


@pytest.mark.parametrize("scenario", list(SCENARIOS))
def test_a_scenario_asks_what_its_name_says_with_ever_new_pictures(scenario: str) -> None:
    stream = asks(scenario)
    asked = [next(stream) for _ in range(24)]
    services = {ask.service for ask in asked}
    expected = {"ssd": "detection", "clip-pictures": "clip"}.get(scenario, scenario)
    assert services == ({"detection", "clip", "owlvit", "llava"} if scenario == "mixed" else {expected})
    pictures = [ask.body for ask in asked if ask.name != "embed text"]
    assert len(set(pictures)) == len(pictures)
    assert all(ask.streamed == (ask.service == "llava") for ask in asked)


def test_what_is_promised_is_what_prometheus_watches() -> None:
    rules = (ROOT / "docker/prometheus/rules/slo.yml").read_text()
    for service in ("detection", "clip", "owlvit"):
        promise = promises()[service]
        assert promise.service == service
        assert f'le="{float(promise.seconds)}"' in rules
    assert (promises()["llava"].fast, promises()["llava"].seconds) == (0.95, 2)
