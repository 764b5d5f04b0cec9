"""Which header fields pass through the gateway, in both directions.

Fields about one connection (RFC 9110, 7.6.1) stay on it. The caller's key ends here: no service ever sees it.
"""

from collections.abc import Iterable

from multidict import CIMultiDict

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The gateway says these itself, or they are meant for it alone.
OWN_REQUEST = HOP_BY_HOP | {
    b"authorization",
    b"content-length",
    b"cookie",
    b"expect",
    b"forwarded",
    b"host",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-proto",
    b"x-request-deadline-ms",
    b"x-request-id",
}
OWN_ANSWER = HOP_BY_HOP | {b"date", b"server", b"x-content-type-options", b"x-request-id"}

Field = tuple[bytes, bytes]


def request_fields(fields: Iterable[Field]) -> CIMultiDict[str]:
    """The caller's fields that a service gets. The server gives names in lower case."""
    passed: CIMultiDict[str] = CIMultiDict()
    named = frozenset[bytes]()
    for name, value in fields:
        if name == b"connection":
            named |= _named(value)
        elif name not in OWN_REQUEST:
            passed.add(name.decode("latin-1"), value.decode("utf-8", "replace"))
    for name in named:
        passed.popall(name.decode("latin-1"), None)
    return passed


def answer_fields(fields: Iterable[Field]) -> list[Field]:
    """The service's fields that the caller gets."""
    lowered = [(name.lower(), value) for name, value in fields]
    dropped = OWN_ANSWER
    for name, value in lowered:
        if name == b"connection":
            dropped |= _named(value)
    return [field for field in lowered if field[0] not in dropped]


def _named(connection: bytes) -> frozenset[bytes]:
    """The field names that a Connection field lists as its own."""
    return frozenset(name.strip().lower() for name in connection.split(b","))
