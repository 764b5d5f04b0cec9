"""What an item went through, as spans: told after the fact from its timestamps, so that the core knows no tracing.

request ─┬─ preprocess ── queue ── forward ──▶ batch (a trace of its own, which points back at all its requests)
         └─ preprocess ── queue ── prefill ── decode       for answers that come token by token

The last stage that began has the error, if there is one. On the event loop; nothing of it runs for what is not traced.
"""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared import tracing
from shared.errors import OcelliError
from shared.serving.model import Identity

if TYPE_CHECKING:
    from shared.serving.stream import Stream
    from shared.serving.ticket import Ticket
    from shared.spans import Span

Stage = tuple[str, float, float, Mapping[str, Any]]  # name, begin, end (0 for not yet), attributes


def trace_batch(outcomes: Sequence[tuple["Ticket", Any]]) -> None:
    """Tell of a batch that has just run, if any of its items is traced; the items learn which one it was."""
    spans = [(t, t.span) for t, _ in outcomes if t.span is not None and t.span.kept and t.started]
    if not spans:
        return
    (first, span), error = spans[0], outcomes[0][1]
    batch = span.alone("batch", start=first.started, links=[span for _, span in spans])
    batch.end(
        at=first.finished or None,
        attributes={"ocelli.batch.size": len(outcomes), **_of_item(first)},
        error=error.code if isinstance(error, OcelliError) else None,
    )
    for ticket, _ in spans:
        ticket.batch, ticket.mates = batch, len(outcomes)


def trace_item(ticket: "Ticket") -> None:
    """Tell of the stages of an item that is answered, refused, late, or left."""
    span = ticket.span
    if span is None or not span.kept:
        return
    about = {"ocelli.batch.size": ticket.mates} if ticket.mates else {}
    stages: Sequence[Stage] = (
        ("preprocess", ticket.accepted, ticket.queued, {}),
        ("queue", ticket.queued, ticket.started, {}),
        ("forward", ticket.started, ticket.finished, {**about, **_of_item(ticket)}),
    )
    future = ticket.future
    error = future.exception() if future.done() and not future.cancelled() else None
    _tell(span, stages, error, links=[] if ticket.batch is None else [ticket.batch])


def trace_stream(stream: "Stream") -> None:
    """Tell of the stages of an answer that came piece by piece."""
    span = stream.span
    if span is None or not span.kept:
        return
    stages: Sequence[Stage] = (
        ("preprocess", stream.accepted, stream.queued, {}),
        ("queue", stream.queued, stream.began, {}),
        ("prefill", stream.began, stream.spoken, {}),
        ("decode", stream.spoken, stream.latest, {**_of(stream.identity), **stream.counts}),
    )
    _tell(span, stages, stream.outcome)


def _tell(span: "Span", stages: Sequence[Stage], error: BaseException | None, *, links: "Sequence[Span]" = ()) -> None:
    now = time.monotonic()
    begun = [stage for stage in stages if stage[1]]
    for name, begin, end, attributes in begun:
        last = name == begun[-1][0]
        part = span.child(name, start=begin, links=links if name == "forward" else ())
        part.end(at=end or now, attributes=attributes, error=tracing.name_of(error) if last else None)


def _of_item(ticket: "Ticket") -> Mapping[str, str]:
    assert ticket.weights is not None
    return _of(ticket.weights.identity)


def _of(identity: Identity) -> Mapping[str, str]:
    return {"ocelli.model": identity.model, "ocelli.model.version": identity.version}
