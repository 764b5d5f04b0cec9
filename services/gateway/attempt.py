"""One try at a replica as a span, where the request is traced, and what the replica is told of it.

begin -> traceparent and tracestate of this very try, in place of the caller's -> end, with how it went
"""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.gateway.answer import Answer
from services.gateway.call import Call
from services.gateway.replica import Replica
from services.gateway.upstreams import Outcome
from shared import tracing

if TYPE_CHECKING:
    from shared.spans import Span

TRACE_FIELDS = ("traceparent", "tracestate")
NO_FAULT = frozenset({Outcome.OK, Outcome.CANCELLED})


def begin(call: Call, service: str) -> "Span | None":
    """The span of a try that begins now; the fields of `call` name it. None where nothing is traced."""
    request = tracing.here()
    if request is None:
        return None
    span = request.child(f"{call.method} {service}", kind="client")
    for field in TRACE_FIELDS:
        call.fields.popall(field, None)
    call.fields.update(span.fields)
    return span


def end(span: "Span", call: Call, replica: Replica, answer: Answer, *, resent: bool) -> None:
    """The try is over; `resent` tells that it was the second one."""
    address = urlsplit(replica.address)
    attributes: dict[str, str | int] = {
        "http.request.method": call.method,
        "server.address": address.hostname or "",
        "server.port": address.port or 80,
        "ocelli.upstream.outcome": answer.outcome.value,
    }
    if answer.status:
        attributes["http.response.status_code"] = answer.status
    if resent:
        attributes["http.request.resend_count"] = 1
    error = str(answer.status) if answer.status >= 400 else None
    span.end(attributes=attributes, error=error if answer.outcome in NO_FAULT else answer.outcome.value)
