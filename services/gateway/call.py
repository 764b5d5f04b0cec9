"""What one request asks of a service, in the form in which it is sent: once, or, when that fails early, twice."""

import time

from multidict import CIMultiDict

from services.gateway.body import Body
from services.gateway.headers import request_fields
from shared.errors import InvalidRequest
from shared.serving.middleware import Receive, Scope

DEADLINE = b"x-request-deadline-ms"
MAX_DEADLINE_DIGITS = 9


class Call:
    """A request on its way to a service. Times are on the monotonic clock, in seconds."""

    __slots__ = ("_began", "body", "deadline", "fields", "headers", "hurried", "method", "patience", "target")

    def __init__(self, scope: Scope, receive: Receive, *, buffer_bytes: int) -> None:
        """Bodies up to `buffer_bytes` are held."""
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.method = "GET" if scope["method"] == "HEAD" else scope["method"]
        self.body = Body(
            receive,
            size=self.headers.get(b"content-length"),
            chunked=b"transfer-encoding" in self.headers,
            buffer_bytes=buffer_bytes,
        )
        self._began = time.monotonic()
        self.deadline = self._began
        self.hurried = False
        self.patience = 0.0
        self.target = ""
        self.fields: CIMultiDict[str] = CIMultiDict()

    def prepare(self, scope: Scope, path: str, *, deadline_s: float, patience_s: float) -> None:
        """Fill in what the service gets: `path`, the query as it came, the fields that pass, and how long it may take.

        `patience_s` is the time for the head of the answer of one try.
        Raises `InvalidRequest` for a deadline or a query that cannot be passed on.
        """
        query = scope["query_string"]
        if not query.isascii():
            raise InvalidRequest("The query has bytes beyond ASCII. Percent-encode them.", param="query")
        self.target = f"{path}?{query.decode()}" if query else path
        self.fields = request_fields(scope["headers"])
        self.fields["x-request-id"] = scope["state"]["request_id"]
        if self.body.large and self.body.length is not None:
            self.fields["content-length"] = self.body.length
        allowed = _allowed_s(self.headers.get(DEADLINE), deadline_s)
        self.deadline = self._began + allowed
        self.hurried = allowed < deadline_s
        self.patience = patience_s


def _allowed_s(wish: bytes | None, limit: float) -> float:
    """The time for a request: what the caller wishes, within the gateway's limit."""
    if wish is None:
        return limit
    if not wish.isdigit() or len(wish) > MAX_DEADLINE_DIGITS or int(wish) == 0:
        raise InvalidRequest("'X-Request-Deadline-Ms' must be a whole number of milliseconds.", param=DEADLINE.decode())
    return min(int(wish) / 1000, limit)
