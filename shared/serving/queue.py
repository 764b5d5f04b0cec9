"""The queue of one model: who waits, and which of them make the next batch.

It decides and does not compute: no torch, no HTTP, no locks (the scheduler holds the lock around every call).
There is no batching timer. Whoever waits when the device becomes free goes, within the budget of items and of cost.
"""

from collections import deque

from shared.serving.ticket import Ticket
from shared.serving.times import BatchTimes

RECOVERY = 32  # full batches without an out-of-memory before the limit is raised by one item


class BatchQueue:
    """A bounded queue in order of arrival, with a budget for the next batch."""

    def __init__(self, *, limit: int, max_items: int, max_cost: int) -> None:
        """`limit` places in all; a batch has at most `max_items` items that cost at most `max_cost` together."""
        self.limit = limit
        self.max_items = max_items
        self.max_cost = max_cost
        self.times = BatchTimes(max_items)
        self.reserved = 0  # accepted, and not here yet: they are being preprocessed
        self.batch_limit = max_items  # less after out-of-memory, and slowly back
        self.last_batch = 0
        self._waiting: deque[Ticket] = deque()
        self._calm = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def taken(self) -> int:
        """Places that are taken, by those who wait and those who are on their way."""
        return len(self._waiting) + self.reserved

    @property
    def full(self) -> bool:
        """Whether every place is taken."""
        return self.taken >= self.limit

    @property
    def head_deadline(self) -> float:
        """The deadline of whoever waits longest; infinite for an empty queue."""
        return self._waiting[0].deadline if self._waiting else float("inf")

    def put(self, ticket: Ticket) -> None:
        """Let a ticket wait, in the place that was reserved for it."""
        self._waiting.append(ticket)

    def next_batch(self, now: float) -> list[Ticket]:
        """Take the next batch: in order of arrival, wanted ones only, within the budget (one item always fits)."""
        batch: list[Ticket] = []
        cost = 0
        while self._waiting and len(batch) < self.batch_limit:
            ticket = self._waiting[0]
            if ticket.wanted(now):
                if batch and cost + ticket.cost > self.max_cost:
                    break
                batch.append(ticket)
                cost += ticket.cost
            self._waiting.popleft()
        self.last_batch = len(batch)
        return batch

    def work_ahead(self) -> float:
        """Seconds of device time that those who were accepted will take, as far as it is known."""
        full, rest = divmod(self.taken, self.batch_limit)
        return full * self.times.estimate(self.batch_limit) + (self.times.estimate(rest) if rest else 0.0)

    def patience(self) -> float:
        """How long the device may wait for batch-mates: 1 ms or a tenth of a batch, where the last batch was larger.

        Callers that wait for their answer before they ask again would otherwise split into two alternating halves.
        """
        if not self._waiting or len(self._waiting) >= min(self.last_batch, self.batch_limit):
            return 0.0
        return min(0.001, 0.1 * self.times.estimate(self.last_batch))

    def remember_overflow(self, size: int) -> None:
        """A batch of `size` did not fit into the device's memory: halve the limit."""
        self.batch_limit = max(1, min(self.batch_limit, size // 2))
        self._calm = 0

    def remember_success(self, size: int, seconds: float) -> None:
        """A batch of `size` took `seconds`; after many at the limit, try one item more."""
        self.times.observe(size, seconds)
        if size >= self.batch_limit < self.max_items:
            self._calm += 1
            if self._calm >= RECOVERY:
                self.batch_limit, self._calm = self.batch_limit + 1, 0
