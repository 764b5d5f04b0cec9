"""How an error becomes an HTTP answer: the one place, for the gateway and all services."""

import math
import random
from http import HTTPStatus
from typing import Any

import orjson

from shared.errors import OcelliError, error_body

Headers = list[tuple[bytes, bytes]]
NOSNIFF = (b"x-content-type-options", b"nosniff")  # no browser may take an answer for something else


def new_request_id() -> str:
    """A name for a request whose caller gave none. It is no secret, and the kernel's randomness costs 20 µs."""
    return f"{random.getrandbits(128):032x}"


def error_answer(error: OcelliError, scope: Any) -> tuple[int, Headers, bytes]:
    """Status, headers and body for `error`. `Retry-After` is in whole seconds, 1 to 30."""
    body = orjson.dumps(
        error_body(
            error,
            title=title(error.status),
            instance=scope["path"][:256],
            request_id=scope.get("state", {}).get("request_id", ""),
        )
    )
    headers: Headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    headers.append((b"x-should-retry", b"true" if error.retryable else b"false"))
    if error.retryable and error.status != HTTPStatus.REQUEST_TIMEOUT:
        wait = min(30, max(1, math.ceil(error.retry_after or 1)))
        headers.append((b"retry-after", str(wait).encode()))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers.append((b"www-authenticate", b"Bearer"))
    return error.status, headers, body


def title(status: int) -> str:
    """The reason phrase of a status, e.g. `Bad Request`."""
    return HTTPStatus(status).phrase


async def send_error(error: OcelliError, scope: Any, send: Any, *, close: bool = False) -> None:
    """Answer an ASGI request with `error`; `close` ends the connection, whose unread body nobody wants."""
    status, headers, body = error_answer(error, scope)
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
