"""Closed-loop load: a number of clients, each on its keep-alive connection, each waiting for its answer.

A round of anything but right answers measures nothing, so the first wrong one ends the run.
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

import aiohttp

from loadtests.processes import Child

BODY_BYTES = 84_000  # a photograph of 640x480 as JPEG
PLAIN = {"content-type": "image/jpeg"}
NUMBER = b"number:42\0".ljust(BODY_BYTES, b"\0")  # what the stand-in service answers without decoding


class WrongAnswer(Exception):
    """A service answered with an error, or with another number than the one that was sent."""


class Round(NamedTuple):
    """What one round gave: answered requests, wall seconds with the last stragglers, and what each client waited."""

    answered: int
    seconds: float
    waits: Sequence[float]


TICK = 0.01  # seconds: the kernel counts the time of a process in no smaller ones


@dataclass(frozen=True, slots=True)
class Load:
    """What the clients send, and for how long; bodies are sent in turn."""

    clients: int
    seconds: float
    bodies: Sequence[bytes] = (NUMBER,)
    path: str = "/v1/detect"
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: PLAIN)
    answer: bytes | None = b"42"  # None: any answer with status 200

    def on(self, url: str) -> Round:
        """One round. Raises `WrongAnswer`."""
        return asyncio.run(self._run(f"{url}{self.path}{self.query}"))

    async def _run(self, url: str) -> Round:
        bodies = itertools.cycle(self.bodies)
        began = time.monotonic()
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            clients = (self._client(session, url, bodies, began + self.seconds) for _ in range(self.clients))
            waits = list(itertools.chain.from_iterable(await asyncio.gather(*clients)))
        return Round(len(waits), time.monotonic() - began, waits)

    async def _client(
        self, session: aiohttp.ClientSession, url: str, bodies: "itertools.cycle[bytes]", until: float
    ) -> list[float]:
        waits = []
        while (began := time.monotonic()) < until:
            async with session.post(url, data=next(bodies), headers=self.headers) as response:
                answer = await response.read()
            if response.status != 200 or self.answer not in {None, answer}:
                raise WrongAnswer(f"{url} answered {response.status}: {answer[:300].decode(errors='replace')}")
            waits.append(time.monotonic() - began)
        return waits


def rate(child: Child, load: Load) -> Callable[[], float]:
    """A measurement: requests per second that `child` answers."""

    def measure() -> float:
        done = load.on(child.url)
        return done.answered / done.seconds

    return measure


def median_ms(child: Child, load: Load) -> Callable[[], float]:
    """A measurement: milliseconds that half of all requests wait at most."""
    return lambda: median(load.on(child.url).waits) * 1000


def cpu_ms(child: Child, load: Load) -> Callable[[], float]:
    """A measurement: CPU milliseconds that `child` spends on a request."""

    def measure() -> float:
        url = child.url
        before = child.cpu
        done = load.on(url)
        return max(child.cpu - before, TICK) * 1000 / done.answered

    return measure
