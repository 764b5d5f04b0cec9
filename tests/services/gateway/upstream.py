"""A small real service for tests of the gateway: an HTTP server in a thread, whose answers a test chooses."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Upstream:
    """One replica. `answer` gets every request but the probes'; what it returns goes back."""

    answer: Handler
    port: int = 0
    ready: bool | None = True  # None: the probe hangs
    seen: list[Seen] = field(default_factory=list)
    probes: int = 0
    cancelled: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._call(self._open())
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def _call(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _open(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._handle, handler_cancellation=True), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/readyz":
            self.probes += 1
            if self.ready is None:
                await asyncio.sleep(3600)
            return web.Response(status=200 if self.ready else 503)
        try:
            return await self.answer(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled.set()
            raise

    async def note(self, request: web.BaseRequest) -> Seen:
        """Read the whole request and remember it."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = b"".join([piece async for piece in request.content.iter_any()])
        seen = Seen(request.method, request.raw_path, headers, body)
        self.seen.append(seen)
        return seen


def echo(**more: Any) -> Upstream:
    """A service that sends back the body that it got."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        seen = await service.note(request)
        return web.Response(body=seen.body, headers={"x-model-version": "v1"})

    service = Upstream(answer, **more)
    return service


def failing(status: int, code: str = "", **more: Any) -> Upstream:
    """A service that answers every request with an error."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await service.note(request)
        return web.json_response({"error": {"code": code}}, status=status)

    service = Upstream(answer, **more)
    return service


def serving(*models: str, **more: Any) -> Upstream:
    """A service that lists `models` and describes each."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await service.note(request)
        entries = [{"id": m, "object": "model", "created": 1, "owned_by": "ocelli"} for m in models]
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": entries})
        return web.json_response(next(e for e in entries if request.path.split("/")[3] == e["id"]))

    service = Upstream(answer, **more)
    return service
