"""Spans as the rest of the house sees them: names, seconds of `time.monotonic()`, and attributes from closed sets.

A thin layer over the API of OpenTelemetry, loaded only where traces are on. No attribute ever takes a picture, a
prompt, a key, or the value of a header.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from shared.tracing import Parent

Attributes = Mapping[str, str | int | float | Sequence[str]]
Kind = Literal["server", "client", "internal"]


class Tracer:
    """Where the spans of a process begin."""

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def serve(self, name: str, parent: Parent | None) -> "Span":
        """The span of a request that came in, under the caller's span where there is one."""
        context = Context() if parent is None else _under(trace.NonRecordingSpan(_context_of(parent)))
        return Span(self._tracer, self._tracer.start_span(name, context, kind=SpanKind.SERVER))


class Span:
    """Something that takes time, and what is part of it."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        self._tracer, self._span = tracer, span

    @property
    def kept(self) -> bool:
        """Whether anybody will see it; its ids go on in any case."""
        return self._span.is_recording()

    @property
    def ids(self) -> dict[str, str]:
        """For log lines; empty where tracing is switched off by OpenTelemetry's own settings."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return {}
        return {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}

    @property
    def fields(self) -> dict[str, str]:
        """`traceparent` and `tracestate` for whoever works on under this span."""
        context = self._span.get_span_context()
        if not context.is_valid:
            return {}
        fields = {"traceparent": f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"}
        return fields | ({"tracestate": context.trace_state.to_header()} if context.trace_state else {})

    def child(
        self, name: str, *, kind: Kind = "internal", start: float | None = None, links: "Sequence[Span]" = ()
    ) -> "Span":
        """A part of this span, from `start` on or from now on, that points at the spans `links`."""
        return self._begin(name, _under(self._span), SpanKind[kind.upper()], start, links)

    def alone(self, name: str, *, start: float, links: "Sequence[Span]") -> "Span":
        """A span that is a trace of its own, as what is done for several requests at once."""
        return self._begin(name, Context(), SpanKind.INTERNAL, start, links)

    def end(
        self,
        *,
        at: float | None = None,
        name: str | None = None,
        attributes: Attributes | None = None,
        error: str | None = None,
    ) -> None:
        """It is over, `at` that time or now; with an `error`, since something went wrong."""
        if self._span.is_recording():
            if name is not None:
                self._span.update_name(name)
            self._span.set_attributes(dict(attributes or {}))
            if error is not None:
                self._span.set_attribute("error.type", error)
                self._span.set_status(Status(StatusCode.ERROR))
        self._span.end(_wall(at))

    def _begin(
        self, name: str, context: Context, kind: SpanKind, start: float | None, links: "Sequence[Span]"
    ) -> "Span":
        pointers = [Link(other._span.get_span_context()) for other in links]
        return Span(
            self._tracer, self._tracer.start_span(name, context, kind=kind, links=pointers, start_time=_wall(start))
        )


def _under(span: trace.Span) -> Context:
    return trace.set_span_in_context(span, Context())


def _context_of(parent: Parent) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(parent.sampled),
        trace_state=TraceState.from_header([parent.state]) if parent.state else None,
    )


def _wall(moment: float | None) -> int | None:
    """A time of `time.monotonic()` on the clock of traces, in nanoseconds since 1970."""
    return None if moment is None else time.time_ns() - int((time.monotonic() - moment) * 1e9)
