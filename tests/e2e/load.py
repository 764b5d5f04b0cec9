"""Load on loopback for the stress tests: numbers coded in pixels, closed and open loops, and what became of each."""

import asyncio
import io
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import httpx
import numpy as np
from PIL import Image

JPEG = {"content-type": "image/jpeg"}


def coded(number: int) -> bytes:
    """A PNG whose black and white blocks are the 32 bits of `number`."""
    bits = np.unpackbits(np.array([number], ">u4").view(np.uint8)).reshape(4, 8) * 255
    buffer = io.BytesIO()
    Image.fromarray(np.kron(bits, np.ones((8, 8), np.uint8))).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@dataclass
class Fates:
    """What became of every request that was sent."""

    counts: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def record(self, fate: str, began: float) -> None:
        self.counts[fate] += 1
        self.seconds.setdefault(fate, []).append(time.monotonic() - began)

    def percentile(self, fate: str, share: float) -> float:
        return float(np.quantile(self.seconds[fate], share))


async def send(session: aiohttp.ClientSession, url: str, number: int, data: bytes, fates: Fates) -> None:
    """One request; its fate is `ok`, `swapped`, `poison`, `refused`, the status, or the kind of failure."""
    began = time.monotonic()
    try:
        async with session.post(f"{url}/v1/detect", data=data, headers=JPEG) as answer:
            text = await answer.text()
    except aiohttp.ClientError as error:
        fates.record(type(error).__name__, began)
        return
    if answer.status == 200:
        fates.record("ok" if text == str(number) else "swapped", began)
    elif answer.status == 503:
        fates.record("refused" if answer.headers.get("Retry-After") else "refused without Retry-After", began)
    else:
        fates.record("poison" if answer.status == 500 and number % 100 == 13 else f"status {answer.status}", began)


async def storm(url: str, *, clients: int, seconds: float, cancels: float, running: Callable[[], bool]) -> Fates:
    """Closed loop: each client sends a number, waits, checks, and now and then leaves early or sends poison."""
    fates, until = Fates(), time.monotonic() + seconds

    async def client(session: aiohttp.ClientSession, identity: int) -> None:
        chance, turn = random.Random(identity), 0
        while time.monotonic() < until and running():
            turn += 1
            number = (identity * 20_000 + turn) * 100 + (13 if chance.random() < 0.01 else 7)
            task = asyncio.create_task(send(session, url, number, coded(number), fates))
            if chance.random() < cancels:
                await asyncio.wait([task], timeout=chance.random() * 0.1)
                if task.cancel():
                    fates.counts["cancelled"] += 1
            await asyncio.gather(task, return_exceptions=True)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(client(session, n) for n in range(clients)))
    return fates


async def arrivals(url: str, *, rate: float, seconds: float, deadline_ms: int) -> Fates:
    """Open loop: `rate` requests per second arrive whether or not earlier ones were answered."""
    fates, tasks = Fates(), []
    headers = {"x-request-deadline-ms": str(deadline_ms)}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=headers) as session:
        began = time.monotonic()
        for n in range(int(rate * seconds)):
            await asyncio.sleep(max(0, began + n / rate - time.monotonic()))
            tasks.append(asyncio.create_task(send(session, url, n * 100, b"number:%d\0" % (n * 100), fates)))
        await asyncio.gather(*tasks)
    return fates


def metric(management: str, name: str) -> float:
    """The sum of a metric's series, as /metrics tells them now."""
    exposition = httpx.get(f"{management}/metrics").text
    values = re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", exposition, re.MULTILINE)
    return sum(float(value) for value in values)
