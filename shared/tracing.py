"""Traces: one request over all processes, where `OCELLI_TRACES` names a collector; elsewhere nothing is even loaded.

opened() -> the tracer of this process        edge -> parent_of(headers) -> the request's span -> enter()
here()   -> the span that a task works under  span(name) -> one more around a block

A task hands its span on to those that it starts, and threads know none: what an item went through on its way to the
device and back is told after the fact, from its timestamps (`shared/serving/stages.py`).
"""

import asyncio
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from shared.settings import stop

if TYPE_CHECKING:
    from shared.spans import Span, Tracer

# https://www.w3.org/TR/trace-context/: no version ff, no id of zeros alone.
TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")

_here: "ContextVar[Span | None]" = ContextVar("span", default=None)


class Parent(NamedTuple):
    """The span that a caller works under, as its `traceparent` and `tracestate` tell: data, and trusted for nothing."""

    trace_id: str
    span_id: str
    sampled: bool
    state: str


def parent_of(headers: Mapping[bytes, bytes]) -> Parent | None:
    """What the caller tells of its trace; None where that is nothing, or malformed."""
    told = TRACEPARENT.fullmatch(headers.get(b"traceparent", b""))
    if told is None:
        return None
    trace_id, span_id, flags = (part.decode() for part in told.groups())
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1), headers.get(b"tracestate", b"").decode("latin-1"))


def here() -> "Span | None":
    """The span of what this task works on; None where nothing is traced."""
    return _here.get()


def enter(span: "Span") -> None:
    """Work under `span` from now on, in this task and those that it starts."""
    _here.set(span)


@contextmanager
def span(name: str) -> "Iterator[None]":
    """A span around a block, where this request is traced. The block may suspend, but stays in one task."""
    outer = _here.get()
    if outer is None:
        yield
        return
    inner = outer.child(name)
    before = _here.set(inner)
    try:
        yield
    except BaseException as error:
        inner.end(error=name_of(error))
        raise
    else:
        inner.end()
    finally:
        _here.reset(before)


def name_of(error: BaseException | None) -> str | None:
    """An error for a span: the code of one of ours, the class of any other, never its text; None for who left."""
    if error is None or isinstance(error, asyncio.CancelledError | GeneratorExit):
        return None
    return str(getattr(error, "code", type(error).__name__))


@contextmanager
def opened(endpoint: str | None, *, service: str, ratio: float, trusting: bool) -> "Iterator[Tracer | None]":
    """The tracer of this process, which sends to `endpoint`; what is left is sent at the end. None without an endpoint.

    `ratio` of the traces that begin here are kept; where `trusting`, a caller's trace is kept if the caller keeps it.
    """
    if endpoint is None:
        yield None
        return
    try:
        from shared.collector import Collector
    except ModuleNotFoundError:
        stop("OCELLI_TRACES: OpenTelemetry is not installed. Run `pip install .[tracing]`, or unset the variable.")
    collector = Collector(endpoint, service=service, ratio=ratio, trusting=trusting)
    try:
        yield collector.tracer
    finally:
        collector.close()
