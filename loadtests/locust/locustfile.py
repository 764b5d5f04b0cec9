"""`make load`: arrivals by a schedule on a running stack, held against what is promised to users.

schedule -> a user takes the next slot, waits for it, asks -> samples -> verdicts -> table, exit code

locust brings users, connections (FastHttpUser), its own statistics and the HTML report; rates, and when a run ends, are
ours. All times are counted from the slot (see `loadtests.locust.schedule`), in locust's rows too.
"""

import json
import time
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from locust import FastHttpUser, LoadTestShape, events, task
from locust.env import Environment
from locust.exception import StopUser

from loadtests.locust.course import Course
from loadtests.locust.events import Told
from loadtests.locust.scenarios import SCENARIOS, Ask, asks
from loadtests.locust.schedule import Slot
from loadtests.locust.shapes import ENDLESS, SHAPES
from loadtests.locust.verdicts import Sample, table
from loadtests.slo import promises

PATIENCE_S = 60.0  # for one read; longer than any deadline of the services
MOST_AT_ONCE = 100  # users per second that begin


@dataclass(frozen=True, slots=True)
class Run:
    """The run of this process; it lies beside the options that it follows from."""

    course: Course
    asks: Iterator[Ask]
    headers: Mapping[str, str]
    endless: bool

    @classmethod
    def of(cls, environment: Environment) -> "Run":
        """The run that `prepare` made."""
        run = environment.parsed_options.run if environment.parsed_options else None
        assert isinstance(run, cls)
        return run


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def options(parser: ArgumentParser) -> None:
    """What locust's command line has on top."""
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="mixed", help="who asks what")
    parser.add_argument("--shape", choices=list(SHAPES), default="steady", help="how the rate goes")
    parser.add_argument("--rate", type=float, default=6.0, help="requests per second; of steps: the first")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the run; of steps: of each")
    parser.add_argument("--key", default="", env_var="OCELLI_KEY", help="API key")


@events.init.add_listener  # type: ignore[untyped-decorator]
def prepare(environment: Environment, **_: Any) -> None:
    """Draw the pictures and lay the course, before the first user comes."""
    given = environment.parsed_options
    assert given is not None
    if given.rate <= 0 or given.seconds <= 0:
        raise SystemExit("--rate and --seconds must be more than 0.")
    course, questions = Course(SHAPES[given.shape](given.rate, given.seconds), promises()), asks(given.scenario)
    next(questions)  # the pictures are drawn now
    headers = {"authorization": f"Bearer {given.key}"} if given.key else {}
    given.run = Run(course, questions, headers, given.shape in ENDLESS)


@events.quitting.add_listener  # type: ignore[untyped-decorator]
def conclude(environment: Environment, **_: Any) -> None:
    """Print the verdicts, and fail the process where a promise broke (of steps: the first)."""
    run = Run.of(environment)
    course = run.course
    print("\n" + (table(course.verdicts) if course.verdicts else "Nothing was asked."))
    if run.endless:
        kept = "none" if course.sustained is None else f"{course.sustained:.3g} requests per second"
        print(f"saturation point: {kept}")
    failed = course.sustained is None if run.endless else course.broken
    environment.process_exit_code = 1 if failed or not course.verdicts else 0


class Ends(LoadTestShape):
    """As many users as the rate needs, until the course has ended."""

    def tick(self) -> tuple[int, float] | None:
        """Users, and how many may come at once; None at the end."""
        assert self.runner is not None
        course = Run.of(self.runner.environment).course
        return (course.users, min(course.users, MOST_AT_ONCE)) if course.turn() else None


class Caller(FastHttpUser):
    """One of many callers, each on a connection of its own."""

    network_timeout = PATIENCE_S
    connection_timeout = PATIENCE_S

    @task
    def call(self) -> None:
        """Ask at the next slot."""
        run = Run.of(self.environment)
        slot = run.course.schedule.take()
        if slot is None:
            raise StopUser
        ask = next(run.asks)
        late = time.monotonic() - slot.at
        wait, failure = (self._stream if ask.streamed else self._answer)(ask, slot)
        run.course.tell(Sample(slot.phase, ask.service, wait, late, failure))

    def _answer(self, ask: Ask, slot: Slot) -> tuple[float, str]:
        with self._ask(ask) as response:
            wait = time.monotonic() - slot.at
            content = response.content or b""
            failure = refusal(response) or ("" if ask.proof in content else "wrong answer")
            settle(response, wait, failure)
        return wait, failure

    def _stream(self, ask: Ask, slot: Slot) -> tuple[float, str]:
        told = Told()
        with self._ask(ask, stream=True) as response:
            failure = refusal(response)
            if not failure:
                failure = read(response, told)
            settle(response, time.monotonic() - slot.at, failure)
        if not told.pieces:
            return time.monotonic() - slot.at, failure
        first = told.pieces[0] - slot.at
        self._row("llava first token", first)
        for gap in told.gaps:
            self._row("llava gap between tokens", gap)
        return first, failure

    def _ask(self, ask: Ask, *, stream: bool = False) -> Any:
        return self.client.request(
            "POST", ask.path, name=f"{ask.service} {ask.name}", data=ask.body,  # type: ignore[arg-type]
            headers={**ask.headers, **Run.of(self.environment).headers}, catch_response=True, stream=stream,
        )  # fmt: skip

    def _row(self, name: str, seconds: float) -> None:
        self.environment.events.request.fire(
            request_type="SSE", name=name, response_time=seconds * 1000, response_length=0, exception=None, context={}
        )


def read(response: Any, told: Told) -> str:
    """Read a stream to its end; returns what was wrong with it, or nothing."""
    try:
        while not told.complete and (line := response._response.readline(b"\n")):
            told.read(line, time.monotonic())
    except (OSError, ValueError):  # the connection's end, a time-out, or a line that is no JSON
        return "broken off"
    response._response.read()  # the end of the last chunk, so that the connection may be used again
    return told.failure


def refusal(response: Any) -> str:
    """Why there is no answer: status and code of our errors, or what became of the connection."""
    if response.status_code == 200:
        return ""
    if not response.status_code:
        return type(response.error).__name__
    try:
        return f"{response.status_code} {json.loads(response.content)['error']['code']}"
    except (ValueError, KeyError, TypeError):
        return str(response.status_code)


def settle(response: Any, wait: float, failure: str) -> None:
    """Tell locust, with the time since the slot."""
    response.request_meta["response_time"] = wait * 1000
    if failure:
        response.failure(failure)
    else:
        response.success()
