"""HTTP/1.1 as uvicorn parses it, with the deadlines and limits that uvicorn lacks.

    connection -> first byte -> headers complete -> body (its deadline is the middleware's) -> answer -> keep-alive
    |---------- header_s ------------------------|                                  |- stall_s -|

Header fields are counted as they arrive, so that a flood is refused before it is stored. What cannot be parsed, or is
too large, is answered with our error body and the connection is closed.
"""

from asyncio import TimerHandle, Transport
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from shared import logs
from shared.errors import HeadersTooLarge, InvalidRequest, OcelliError, RequestTimeout
from shared.serving.answers import NOSNIFF, error_answer, new_request_id
from shared.serving.metrics import http_seconds
from shared.settings import Limits

log = logs.get(__name__)


class GuardedProtocol(HttpToolsProtocol):
    """One connection, which must send its headers in time and within `limits`."""

    def __init__(self, *args: Any, limits: Limits, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.limits = limits
        self._header_deadline: TimerHandle | None = None
        self._header_bytes = 0
        self._failure: OcelliError | None = None
        self._patience: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection that says nothing is not kept."""
        super().connection_made(transport)
        self._arm()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clocks."""
        self._disarm()
        self._resume()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The reader takes nothing: not for long, or it would keep what it will never read."""
        super().pause_writing()
        self._patience = self.loop.call_later(self.limits.stall_s, self._cut)

    def resume_writing(self) -> None:
        """The reader goes on."""
        super().resume_writing()
        self._resume()

    def on_message_begin(self) -> None:
        """Count anew for each request of the connection."""
        super().on_message_begin()
        self._header_bytes = 0
        if self._header_deadline is None:
            self._arm()

    def on_url(self, url: bytes) -> None:
        """Count the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header field."""
        self._count(len(name) + len(value))
        super().on_header(name, value)
        if len(self.headers) > self.limits.headers:
            self._refuse(HeadersTooLarge())

    def on_headers_complete(self) -> None:
        """The headers are in time."""
        self._disarm()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no valid HTTP with our own error body, and close."""
        error = self._failure or InvalidRequest("This is not a valid HTTP/1.1 request.", code="malformed_request")
        request_id = new_request_id()
        log.info("refused", status=error.status, code=error.code, request_id=request_id)
        http_seconds("OTHER", "unmatched", error.status).observe(0)
        _, headers, body = error_answer(error, {"path": "", "state": {"request_id": request_id}})
        headers += [(b"connection", b"close"), (b"x-request-id", request_id.encode()), NOSNIFF]
        head = b"".join(b"%b: %b\r\n" % header for header in headers)
        if not self.transport.is_closing():
            self.transport.write(STATUS_LINE[error.status] + head + b"\r\n" + body)
            self.transport.close()

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self.limits.header_bytes:
            self._refuse(HeadersTooLarge())

    def _refuse(self, error: OcelliError) -> None:
        self._failure = error
        raise error  # the parser stops and `data_received` calls `send_400_response`

    def _arm(self) -> None:
        self._header_deadline = self.loop.call_later(self.limits.header_s, self._too_late)

    def _disarm(self) -> None:
        if self._header_deadline is not None:
            self._header_deadline.cancel()
            self._header_deadline = None

    def _resume(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _cut(self) -> None:
        log.info("reader_cut", stalled_s=self.limits.stall_s)
        self.transport.abort()  # which cancels whoever still answers, see `middleware.Exchange`

    def _too_late(self) -> None:
        self._failure = RequestTimeout()
        self.send_400_response("")
