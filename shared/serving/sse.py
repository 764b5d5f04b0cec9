"""Server-sent events: an answer that is sent while it is made.

    open: first frame -> 200 -> frame, frame, ... -> end
          |                     an error: one frame that tells it, then the end without [DONE]
          an error: its own status, as for any other answer

Nothing to send for `ping_s`: a comment, so that no proxy takes the connection for dead. A reader who takes nothing for
`stall_s` is cut. Who leaves cancels the task (`middleware.Exchange`), and with it the source of the frames.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, Self

from starlette.responses import Response

from shared import logs
from shared.errors import OcelliError
from shared.serving.answers import error_answer
from shared.serving.middleware import Receive, Scope, Send

PING = b": ping\n\n"

log = logs.get(__name__)


class EventStream(Response):
    """A response of frames `data: …\\n\\n`, several of which may come joined into one."""

    media_type = "text/event-stream"

    def __init__(
        self,
        first: bytes,
        rest: AsyncGenerator[bytes, None],
        *,
        headers: Mapping[str, str] | None = None,
        ping_s: float = 15,
        stall_s: float = 30,
    ) -> None:
        """Not `Response.__init__`, which would tell a Content-Length."""
        self.status_code, self.background = 200, None
        self.init_headers({**(headers or {}), "cache-control": "no-store", "x-accel-buffering": "no"})
        self._first, self._rest = first, rest
        self._ping_s, self._stall_s = ping_s, stall_s

    @classmethod
    async def open(cls, frames: AsyncGenerator[bytes, None], **options: Any) -> Self:
        """Wait for the first of `frames`, whose error is raised here, where the answer may still have its status."""
        return cls(await anext(frames, b""), frames, **options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; whatever ends this, the source of the frames is closed."""
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            try:
                async with _Outlet(send, ping_s=self._ping_s, stall_s=self._stall_s) as outlet:
                    await self._relay(outlet, scope)
            except TimeoutError:
                log.info("reader_cut", stalled_s=self._stall_s)

    async def _relay(self, outlet: "_Outlet", scope: Scope) -> None:
        try:
            await outlet.send(self._first)
            async for frame in self._rest:
                await outlet.send(frame)
        except OcelliError as error:
            await outlet.send(_told(error, scope))
        except Exception:  # the status is sent: the caller can only learn of it by a frame, in our own words
            log.exception("stream_failed")
            await outlet.send(_told(OcelliError(), scope))
        await outlet.send(b"", more=False)


class _Outlet:
    """`send` under watch. One timer looks at both times now and then, which spares each frame a timer of its own."""

    def __init__(self, send: Send, *, ping_s: float, stall_s: float) -> None:
        self._send, self._ping_s, self._stall_s = send, ping_s, stall_s
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._sending = False
        self._ping: asyncio.Task[None] | None = None
        self._patience = asyncio.timeout(None)

    async def __aenter__(self) -> Self:
        await self._patience.__aenter__()
        self._timer = self._loop.call_later(min(self._ping_s, self._stall_s), self._look)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()
        await self._patience.__aexit__(kind, error, trace)

    async def send(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of the answer; cancelled, and `TimeoutError` around the block, where the reader stalls."""
        if self._ping is not None:
            await self._ping
        await self._pass_on(body, more=more)

    async def _pass_on(self, body: bytes, *, more: bool) -> None:
        self._sending, self._since = True, self._loop.time()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending, self._since = False, self._loop.time()

    async def _say_ping(self) -> None:
        await self._pass_on(PING, more=True)
        self._ping = None

    def _look(self) -> None:
        """Cut who stalls, ping who waits, and look again when the next of the two may be due."""
        now = self._loop.time()
        passed = now - self._since
        if self._sending and passed >= self._stall_s:
            self._patience.reschedule(now)
            return
        if not self._sending and passed >= self._ping_s:
            self._ping = self._loop.create_task(self._say_ping())
            passed = 0
        due = self._stall_s - passed if self._sending else min(self._ping_s - passed, self._stall_s)
        self._timer = self._loop.call_later(due, self._look)


def _told(error: OcelliError, scope: Scope) -> bytes:
    """The body of an error answer as a frame: stock clients raise what stands under `error`."""
    return b"data: %b\n\n" % error_answer(error, scope)[2]
