"""Streamed answers, read line by line: when each piece of text came, and whether all tokens did.

question -> POST /v1/chat/completions -> data: {...} for every piece -> the count of tokens -> data: [DONE]
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from random import Random
from typing import Any

import aiohttp
import orjson

from loadtests.conversations import Question
from loadtests.load import WrongAnswer

PATH = "/v1/chat/completions"
ARRIVALS = (0.1, 0.2)  # seconds between two of those who come while others are answered


@dataclass(frozen=True, slots=True)
class Told:
    """When an answer was asked for, and when each piece of its text came: seconds of the monotonic clock."""

    asked: float
    pieces: list[float] = field(default_factory=list)

    @property
    def first(self) -> float:
        """Seconds until the first piece."""
        return self.pieces[0] - self.asked

    def gaps(self, since: float, until: float) -> Iterator[float]:
        """Seconds between two pieces, for all that came between two times."""
        return (after - before for before, after in pairwise(self.pieces) if since <= before and after <= until)


def answered(url: str, questions: Sequence[Question], *, clients: int) -> tuple[list[Told], float]:
    """All answers, and the seconds that they took; each client asks again when its answer is complete."""
    return asyncio.run(_closed(url, questions, clients))


def answered_amid(url: str, lasting: Sequence[Question], coming: Sequence[Question]) -> list[float]:
    """All gaps in the answers to `lasting`, while all of them are told and one of `coming` after the other arrives.

    Those who come do so at times of their own, whether the service answers quickly or not.
    """
    return asyncio.run(_amid(url, lasting, coming))


def _session(url: str) -> aiohttp.ClientSession:
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5)
    headers = {"content-type": "application/json"}
    return aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout, headers=headers)


async def _closed(url: str, questions: Sequence[Question], clients: int) -> tuple[list[Told], float]:
    waiting = iter([(each, each.body) for each in questions])
    async with _session(url) as session:

        async def client() -> list[Told]:
            return [await _read(session, question, body) for question, body in waiting]

        began = time.monotonic()
        told = await asyncio.gather(*(client() for _ in range(clients)))
        return list(chain.from_iterable(told)), time.monotonic() - began


async def _amid(url: str, lasting: Sequence[Question], coming: Sequence[Question]) -> list[float]:
    random = Random(0)
    async with _session(url) as session, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(_read(session, each, each.body)) for each in lasting]
        for question in coming:
            await asyncio.sleep(random.uniform(*ARRIVALS))
            if any(task.done() for task in running):
                break
            tasks.create_task(_read(session, question, question.body))
    told = [task.result() for task in running]
    since = max(each.pieces[0] for each in told)
    until = min(each.pieces[-1] for each in told)
    return [gap for each in told for gap in each.gaps(since, until)]


async def _read(session: aiohttp.ClientSession, question: Question, body: bytes) -> Told:
    """Read one answer. Raises `WrongAnswer` unless it is as long as it should be."""
    told, event = Told(time.monotonic()), dict[str, Any]()
    async with session.post(PATH, data=body) as response:
        if response.status != 200:
            raise WrongAnswer(f"{response.status}: {await response.text()}")
        async for line in response.content:
            if line.startswith(b"data: {"):
                event = orjson.loads(line[6:])
                if any(choice["delta"].get("content") for choice in event.get("choices", ())):
                    told.pieces.append(time.monotonic())
    if (event.get("usage") or {}).get("completion_tokens") != question.tokens:
        raise WrongAnswer(f"an answer of {question.tokens} tokens ended with {event}")
    return told
