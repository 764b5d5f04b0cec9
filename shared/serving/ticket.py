"""A ticket: one item on its way through the serving core, and the caller who waits for its answer.

accepted -> (preprocess) -> queued -> (queue) -> started -> (forward) -> finished
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from shared.errors import OcelliError
from shared.serving.model import Weights

if TYPE_CHECKING:
    from shared.spans import Span


@dataclass(slots=True, eq=False)
class Ticket:
    """One item in the queue; `resolve` and `fail` are harmless when the caller has left or was answered."""

    deadline: float  # of time.monotonic(), like all times here
    future: asyncio.Future[Any]
    features: Any = None
    cost: int = 0
    accepted: float = field(default_factory=time.monotonic)
    queued: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    weights: Weights | None = None  # those that served when it was accepted, and that answer it
    span: "Span | None" = None  # of its request, where that is traced
    batch: "Span | None" = None  # of the batch that it ran in
    mates: int = 0  # items of that batch, itself included

    def wanted(self, now: float) -> bool:
        """Whether somebody still waits for this answer and it can still come in time. Safe from any thread."""
        return not self.future.done() and now < self.deadline

    def prepare(self, features: Any, cost: int) -> None:
        """The item is preprocessed: from now on it waits. On a thread of the CPU pool."""
        self.features, self.cost, self.queued = features, cost, time.monotonic()

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds in each stage of an answered ticket."""
        return {
            "preprocess": self.queued - self.accepted,
            "queue": self.started - self.queued,
            "forward": self.finished - self.started,
        }

    def resolve(self, result: Any) -> None:
        """Answer the caller. On the event loop's thread."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: OcelliError) -> None:
        """Tell the caller what went wrong. On the event loop's thread."""
        if not self.future.done():
            self.future.set_exception(error)
