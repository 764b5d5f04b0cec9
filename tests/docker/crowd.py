"""A crowd that asks the gateway all the time: so many requests a second, whatever becomes of them, and so many streams.

with crowd(url, rate=20, streams=4) as asked: …     -> asked.failures, one line each; asked.counts by kind
"""

import asyncio
import contextlib
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.processes import ROOT

PAUSE_S = 0.5  # of a stream's user between an answer and the next question
SCENE = (ROOT / "examples/scene.jpg").read_bytes()
SHAPES = (ROOT / "examples/shapes.jpg").read_bytes()
QUERY = (ROOT / "examples/query.png").read_bytes()
HELLO = {"messages": [{"role": "user", "content": "How many circles are there?"}], "temperature": 0}

Fields = Mapping[str, Any]


def _form(picture: bytes, **fields: str) -> aiohttp.FormData:
    form = aiohttp.FormData(fields)
    form.add_field("image", picture, filename="picture")
    return form


def _detect() -> tuple[str, Fields]:
    return "/v1/detect?model=ssd", {"data": SCENE, "headers": {"content-type": "image/jpeg"}}


def _embed() -> tuple[str, Fields]:
    return "/v1/embeddings", {"json": {"input": ["a photo of a red circle"]}}


def _classify() -> tuple[str, Fields]:
    return "/v1/classify", {"data": _form(QUERY, labels="circle,star")}


def _find() -> tuple[str, Fields]:
    return "/v1/detect/open", {"data": _form(SHAPES, labels="blue heart,blue circle")}


def _chat() -> tuple[str, Fields]:
    return "/v1/chat/completions", {"json": HELLO}


# What is asked of each service alone, and of all of them: mostly what costs little, as people do.
ASKS: Mapping[str, Sequence[Callable[[], tuple[str, Fields]]]] = {
    "detection": (_detect,),
    "clip": (_embed, _embed, _classify),
    "owlvit": (_find,),
    "llava": (_chat,),
    "all": (*[_embed] * 6, _classify, _classify, _detect, _find),
}


@dataclass
class Crowd:
    """Who asks, and what became of it."""

    url: str
    rate: float
    streams: int
    asks: Sequence[Callable[[], tuple[str, Fields]]]
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def ask(self, until: threading.Event) -> None:
        """Ask until told to stop, then wait for the answers to all that was asked."""
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
            streams = [asyncio.create_task(self._stream(session, until)) for _ in range(self.streams)]
            requests, began = [], time.monotonic()
            for number in itertools.count():
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))
                if until.is_set():
                    break
                path, fields = self.asks[number % len(self.asks)]()
                requests.append(asyncio.create_task(self._request(session, path, fields)))
            await asyncio.gather(*streams, *requests)

    async def _request(self, session: aiohttp.ClientSession, path: str, fields: Fields) -> None:
        kind, began = path.partition("?")[0], time.monotonic()
        try:
            async with session.post(f"{self.url}{path}", **fields) as answer:
                body = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._fail(kind, began, repr(error))
            return
        if answer.status == 200:
            self.counts[kind] += 1
        else:
            self._fail(kind, began, f"{answer.status} {body}")

    async def _stream(self, session: aiohttp.ClientSession, until: threading.Event) -> None:
        while not until.is_set():
            began = time.monotonic()
            try:
                async with session.post(f"{self.url}/v1/chat/completions", json={**HELLO, "stream": True}) as answer:
                    lines = [line.decode().strip() async for line in answer.content]
                whole = (
                    answer.status == 200 and "data: [DONE]" in lines and not any('"error"' in line for line in lines)
                )
                if whole:
                    self.counts["stream"] += 1
                else:
                    self._fail("stream", began, f"{answer.status} {json.dumps(lines[-3:])}")
            except (aiohttp.ClientError, TimeoutError) as error:
                self._fail("stream", began, repr(error))
            await asyncio.sleep(PAUSE_S)

    def _fail(self, kind: str, began: float, why: str) -> None:
        self.failures.append(f"{kind} after {time.monotonic() - began:.1f} s: {why[:300]}")


@contextlib.contextmanager
def crowd(url: str, *, rate: float, streams: int = 0, asks: str = "all") -> Iterator[Crowd]:
    """A crowd that asks while the block runs; its counts are final after it."""
    asked, done = Crowd(url, rate, streams, ASKS[asks]), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(asked.ask(done)))
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join()
