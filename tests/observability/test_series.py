"""No caller can make metrics grow: by what is declared, and by trying.

3,000 hostile requests here, as many as `STRESS_REQUESTS` says elsewhere.
"""

import asyncio
import os
import random
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from services.gateway.routes import ROUTES
from shared.serving.metrics import HTTP_BUCKETS, kind
from shared.serving.middleware import METHODS as KNOWN_METHODS
from tests.house import House
from tests.processes import Running, running

REQUESTS = int(os.environ.get("STRESS_REQUESTS", "3000"))
LIMIT = 2000  # series of one process
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE")
PATHS = (
    "/v1/detect", "/v1/detect/open", "/v1/embeddings", "/v1/classify", "/v1/similarity", "/v1/label-sets",
    "/v1/chat/completions", "/v1/tokenize", "/v1/models", "/v1/models/{}", "/v1/models/{}/labels", "/openapi.json",
    "/docs", "/docs/docs.css", "/", "/readyz", "/metrics", "/admin/weights/{}/prepare", "/{}", "/v1/{}", "//{}",
)  # fmt: skip
BODIES = (b"", b"{", b'{"model":"%d"}', b'{"input":"x","model":"m%d"}', b"\xff\xd8\xff%d", b"a=%d&b", b"x" * 3000)
KINDS = ("application/json", "image/jpeg", "text/{}", "multipart/form-data", "multipart/form-data; boundary={}", "{}")


STATUSES = range(200, 600)
SERVICES = ("detection", "clip", "owlvit", "llava")
REQUEST_SERIES = "http_server_"
ADMIN = ("", *(f"/{{model}}/{order}" for order in ("prepare", "commit", "abort", "rollback", "retire")))


def series(process: Running) -> int:
    """How many series a process exports."""
    return len(exported(process))


def exported(process: Running) -> list[str]:
    """The series of a process, a line for each."""
    text = httpx.get(f"{process.management}/metrics").text
    return [line for line in text.splitlines() if not line.startswith("#")]


def kinds(routes: Mapping[str, set[str]]) -> int:
    """How many kinds of request there can be, by the methods of each declared route, whatever the statuses."""
    return len({kind(method, route, status) for route in routes for method in routes[route] for status in STATUSES})


def declared(process: Running) -> dict[str, set[str]]:
    """The routes of a service and their methods, as it describes itself; beside the API no method is told."""
    paths = httpx.get(f"{process.url}/openapi.json").json()["paths"]
    api = {path: {method.upper() for method in methods} for path, methods in paths.items()}
    beside = ("/openapi.json", "probe", "unmatched", *(f"/admin/weights{path}" for path in ADMIN))
    return api | {path: set(KNOWN_METHODS) for path in beside}


def test_every_kind_of_request_at_once_is_below_the_limit_in_the_gateway(house: House) -> None:
    routes = {route.path: {"HEAD" if route.method == "GET" else route.method, route.method} for route in ROUTES}
    assert_bounded(house.gateway, routes | {"probe": set(KNOWN_METHODS), "unmatched": set(KNOWN_METHODS)})


@pytest.mark.parametrize("name", SERVICES)
def test_every_kind_of_request_at_once_is_below_the_limit_in_a_service(house: House, name: str) -> None:
    process: Running = getattr(house, name)
    assert_bounded(process, declared(process))


def assert_bounded(process: Running, routes: Mapping[str, set[str]]) -> None:
    """What a process exports beside, a gauge for each method, and a histogram for each kind of request."""
    others = [line for line in exported(process) if not line.startswith(REQUEST_SERIES)]
    histogram = len((*HTTP_BUCKETS, "+Inf", "sum", "count"))
    worst = len(others) + len((*KNOWN_METHODS, "OTHER")) + kinds(routes) * histogram
    assert others and worst < LIMIT, worst


@pytest.mark.timeout(1800)
def test_hostile_requests_do_not_make_metrics_grow(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (
        running("services.clip", state=tmp_path) as clip,
        running("services.gateway", state=tmp_path, clip=clip.url) as gateway,
    ):
        asyncio.run(attack([gateway.url, clip.url], REQUESTS))
        counts = {"gateway": series(gateway), "clip": series(clip)}
        asyncio.run(attack([gateway.url, clip.url], REQUESTS // 10, seed=2))
        more = {"gateway": series(gateway), "clip": series(clip)}
    with capsys.disabled():
        print(f"series after {REQUESTS} hostile requests: {counts}, and after a tenth more: {more}")
    assert all(count < LIMIT for count in more.values()), more


async def attack(urls: list[str], requests: int, *, seed: int = 1) -> None:
    """Random methods, paths, models, headers and bodies, eight at a time."""
    chance = random.Random(seed)
    left = iter(range(requests))

    async def caller(session: aiohttp.ClientSession) -> None:
        for number in left:
            try:
                async with session.request(
                    **hostile(chance, number, chance.choice(urls)), allow_redirects=False
                ) as answer:
                    await answer.read()
            except (aiohttp.ClientError, ValueError):
                continue  # some are cut off before they end, as they should be

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(caller(session) for _ in range(8)))


def hostile(chance: random.Random, number: int, url: str) -> dict[str, Any]:
    """One request that nobody should send."""
    word = "".join(chance.choices(string.ascii_letters, k=8))
    method = chance.choice([*METHODS, word.upper()])
    body = chance.choice(BODIES)
    return {
        "method": method,
        "url": url + chance.choice(PATHS).format(word) + chance.choice(["", f"?model={word}", f"?{word}={number}"]),
        "data": body % number if b"%d" in body else body,
        "headers": {
            "content-type": chance.choice(KINDS).format(word),
            "x-request-id": word,
            f"x-{word}": word,
            "authorization": f"Bearer {word}",
            "x-request-deadline-ms": chance.choice(["1", "500", word, "-1"]),
            "if-embedding-space": chance.choice(["*", word]),
            "user-agent": word,
        },
    }
