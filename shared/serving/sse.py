"""Server-sent events: an answer that is sent while it is made.

    open: first frame -> 200 -> frame, frame, ... -> end
          |                     an error: one frame that tells it, then the end without [DONE]
          an error: its own status, as for any other answer

Nothing to send for `ping_s`: a comment, so that no proxy takes the connection for dead. Who leaves, or takes nothing
for too long (`protocol.GuardedProtocol`), cancels the task (`middleware.Exchange`), and with it the source of frames.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Self

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
        headers: Mapping[str, str],
        ping_s: float,
    ) -> None:
        """Not `Response.__init__`, which would tell a Content-Length."""
        self.status_code, self.background = 200, None
        self.init_headers({**headers, "cache-control": "no-store", "x-accel-buffering": "no"})
        self._first, self._rest, self._ping_s = first, rest, ping_s

    @classmethod
    async def open(
        cls, frames: AsyncGenerator[bytes, None], *, headers: Callable[[], Mapping[str, str]] = dict, ping_s: float = 15
    ) -> Self:
        """Wait for the first of `frames`, whose error is raised here, where the answer may still have its status.

        `headers` are asked for after it, when it is known what answers.
        """
        first = await anext(frames, b"")
        return cls(first, frames, headers=headers(), ping_s=ping_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames; whatever ends this, the source of the frames is closed."""
        async with aclosing(self._rest):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            outlet = _Outlet(send, ping_s=self._ping_s)
            try:
                await self._relay(outlet, scope)
            finally:
                outlet.close()

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
    """`send`, and pings. One timer looks at the time now and then, which spares each frame a timer of its own."""

    def __init__(self, send: Send, *, ping_s: float) -> None:
        self._send, self._ping_s = send, ping_s
        self._loop = asyncio.get_running_loop()
        self._since = self._loop.time()
        self._sending = False
        self._ping: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(ping_s, self._look)

    def close(self) -> None:
        """No more pings."""
        self._timer.cancel()
        if self._ping is not None:
            self._ping.cancel()

    async def send(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of the answer, after the ping that may be on its way."""
        if self._ping is not None:
            await self._ping
        await self._pass_on(body, more=more)

    async def _pass_on(self, body: bytes, *, more: bool) -> None:
        self._sending = True
        await self._send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending, self._since = False, self._loop.time()

    async def _say_ping(self) -> None:
        await self._pass_on(PING, more=True)
        self._ping = None

    def _look(self) -> None:
        """Ping who waits, and look again when the next ping may be due."""
        passed = self._loop.time() - self._since
        if not self._sending and passed >= self._ping_s:
            self._ping = self._loop.create_task(self._say_ping())
            passed = 0
        self._timer = self._loop.call_later(max(self._ping_s - passed, 0.1 * self._ping_s), self._look)


def _told(error: OcelliError, scope: Scope) -> bytes:
    """The body of an error answer as a frame: stock clients raise what stands under `error`."""
    return b"data: %b\n\n" % error_answer(error, scope)[2]
