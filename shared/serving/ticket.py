"""A ticket: one item on its way through the serving core, and the caller who waits for its answer."""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from shared.errors import OcelliError
from shared.serving.model import Identity


@dataclass(slots=True, eq=False)
class Ticket:
    """One item in the queue; `resolve` and `fail` are harmless when the caller has left or was answered."""

    features: Any
    cost: int
    deadline: float  # of time.monotonic(), like all times here
    future: asyncio.Future[Any]
    queued: float = field(default_factory=time.monotonic)
    started: float = 0.0
    finished: float = 0.0
    identity: Identity | None = None

    def wanted(self, now: float) -> bool:
        """Whether somebody still waits for this answer and it can still come in time. Safe from any thread."""
        return not self.future.done() and now < self.deadline

    def resolve(self, result: Any) -> None:
        """Answer the caller. On the event loop's thread."""
        if not self.future.done():
            self.future.set_result(result)

    def fail(self, error: OcelliError) -> None:
        """Tell the caller what went wrong. On the event loop's thread."""
        if not self.future.done():
            self.future.set_exception(error)
