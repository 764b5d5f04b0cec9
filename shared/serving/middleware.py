"""The edge of every process: one pure ASGI layer around the application.

    request -> id bound to logs -> body within size and time -> application
            <- error body, if it raised <- x-request-id and nosniff on the answer <- metrics and one log line

A caller who leaves cancels the application's task: nobody works for an empty chair. Limits on header fields are
the protocol's (`protocol.py`), which sees them first.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from shared import logs, tracing
from shared.errors import OcelliError, RequestTimeout, TooLarge, UnsupportedMedia
from shared.serving.answers import NOSNIFF, new_request_id, send_error
from shared.serving.metrics import http_active, http_seconds
from shared.settings import Limits

if TYPE_CHECKING:
    from shared.spans import Span, Tracer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBE = "probe"  # the route of probes on the data port, which would fill the log
CLIENT_LEFT = 499  # never sent; nginx's number for logs and metrics

log = logs.get("access")


class Edge:
    """The layer around an ASGI application; `route_of` names the declared route that answered a scope."""

    def __init__(
        self,
        app: Application,
        *,
        limits: Limits,
        route_of: Callable[[Scope], str],
        draining: Callable[[], bool] = lambda: False,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.app = app
        self.limits = limits
        self.route_of = route_of
        self.draining = draining
        self.tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request; other kinds of connection are refused by closing them."""
        if scope["type"] != "http":
            return
        await Exchange(self, scope, receive, send).run()


class Exchange:
    """One request and its answer, as seen from the edge."""

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self.edge, self.scope = edge, scope
        self._receive, self._send = receive, send
        self.started = time.perf_counter()
        self.status = 0
        self.received = 0
        self.finished = False
        self.left = asyncio.Event()
        self.slow = False
        self.span: Span | None = None
        self._watch: asyncio.Task[None] | None = None
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._patience: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        """Run the application inside the limits, and account for the request whatever happens."""
        method = self.scope["method"] if self.scope["method"] in METHODS else "OTHER"
        headers = dict(self.scope["headers"])
        self._bind(headers)
        active = http_active(method)
        active.inc()
        try:
            self._check(headers)
            await self.edge.app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            if self.slow:
                await self._answer(RequestTimeout())
            elif not self.left.is_set():
                raise
        except OcelliError as error:
            await self._answer(error)
        except Exception:  # the last boundary: whatever it is, the caller gets our own sentence
            log.exception("request_failed")
            await self._answer(OcelliError())
        finally:
            for pending in (self._patience, self._watch):
                if pending is not None:
                    pending.cancel()
            active.dec()
            self._account(method)

    def _bind(self, headers: dict[bytes, bytes]) -> None:
        offered = headers.get(b"x-request-id", b"")
        request_id = offered.decode() if REQUEST_ID.fullmatch(offered) else new_request_id()
        self._id = request_id.encode()
        self.scope.setdefault("state", {})["request_id"] = request_id
        bound = {"request_id": request_id}
        parent = tracing.parent_of(headers)
        if self.edge.tracer is not None:
            self.span = self.edge.tracer.serve("request", parent)
            tracing.enter(self.span)
            bound |= self.span.ids
        elif parent is not None:
            bound |= {"trace_id": parent.trace_id, "span_id": parent.span_id}
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(**bound)

    def _check(self, headers: dict[bytes, bytes]) -> None:
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise UnsupportedMedia("Send the body without Content-Encoding.", param="content-encoding")
        if int(headers.get(b"content-length") or 0) > self.edge.limits.body_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        """The next part of the body, within its size and time; then, once the caller has left, `http.disconnect`."""
        if self._watch is not None:
            await self.left.wait()
            return {"type": "http.disconnect"}
        if self._patience is None:
            self._patience = self._task.get_loop().call_later(self.edge.limits.body_s, self._too_slow)
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._leave()
        elif not message.get("more_body"):
            self._patience.cancel()
            self._watch = asyncio.create_task(self._watch_caller())
        self.received += len(message.get("body", b""))
        if self.received > self.edge.limits.body_bytes:
            raise self._too_large()
        return message

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The request body may have at most {self.edge.limits.body_bytes} bytes.")

    def _too_slow(self) -> None:
        self.slow = True
        self._task.cancel()

    async def _watch_caller(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.finished:
            self._leave()

    def _leave(self) -> None:
        self.left.set()
        self._task.cancel()

    async def send(self, message: Message) -> None:
        """Pass a part of the answer on, with the headers that every answer carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [h for h in message.get("headers", ()) if h[0] != b"x-request-id"]
            headers += [(b"x-request-id", self._id), NOSNIFF]
            if self.edge.draining():
                headers.append((b"connection", b"close"))  # the next request goes to another replica
            message = {**message, "headers": headers}
        elif not message.get("more_body"):
            self.finished = True  # the server now reports the caller as gone, who is not
        await self._send(message)

    async def _answer(self, error: OcelliError) -> None:
        if not self.status and not self.left.is_set():
            await send_error(error, self.scope, self.send, close=self._watch is None and self.scope["method"] != "GET")

    def _account(self, method: str) -> None:
        seconds = time.perf_counter() - self.started
        route = self.edge.route_of(self.scope)
        http_seconds(method, route, self.status or CLIENT_LEFT).observe(seconds)
        self._trace(method, route)
        write = log.debug if route == PROBE else log.info
        write(
            "request", method=method, route=route, status=self.status or CLIENT_LEFT,
            duration_ms=round(seconds * 1000, 2), bytes_in=self.received,
        )  # fmt: skip

    def _trace(self, method: str, route: str) -> None:
        if self.span is None or route == PROBE:  # a span that never ends is never sent
            return
        status = self.status or CLIENT_LEFT
        self.span.end(
            name=f"{method} {route}",
            attributes={
                "http.request.method": method, "http.route": route, "http.response.status_code": status,
                "http.request.body.size": self.received,
            },
            error=str(status) if status >= 500 else None,
        )  # fmt: skip
