"""The scheduler: which model's batch the one device thread runs next.

    event loop:    reserve -> put            device thread:    next_work -> (queue, batch) | job | None at the end

Several models share the device; a queue each, served by the earliest deadline. Jobs (loading, taking weights over)
run between two batches. This is the only place where the two threads meet, under one lock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from shared.errors import DeadlineExceeded, Unavailable
from shared.serving.queue import BatchQueue
from shared.serving.ticket import Ticket

Job = Callable[[], None]
Work = tuple[BatchQueue, list[Ticket]] | Job
MARGIN = 1.2  # batch times are means, and a request that was accepted should be answered
IDLE_S = 1.0  # how often an idle device thread shows that it is alive


class Scheduler:
    """The queues of one device, and the lock around them."""

    def __init__(self, queues: Mapping[str, BatchQueue]) -> None:
        self.queues = dict(queues)
        self._changed = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._closed = False
        self._busy_until = 0.0

    def reserve(self, queue: BatchQueue, deadline: float) -> None:
        """Take a place in `queue`, before any work is done for it.

        Raises `Unavailable` when no place is free, and when what was accepted before leaves no time until `deadline`.
        """
        with self._changed:
            wait = self._wait()
            if queue.full:
                raise Unavailable(retry_after=wait)
            now = time.monotonic()
            if now >= deadline:
                raise DeadlineExceeded
            if now + MARGIN * (wait + queue.times.estimate(1)) > deadline:
                raise Unavailable("This request cannot be answered before its deadline. Retry later.", retry_after=wait)
            queue.reserved += 1

    def release(self, queue: BatchQueue) -> None:
        """Give a reserved place back: the item was refused, or its caller has left."""
        with self._changed:
            queue.reserved -= 1

    def put(self, queue: BatchQueue, ticket: Ticket) -> None:
        """Let `ticket` wait in the place that was reserved for it."""
        with self._changed:
            queue.reserved -= 1
            queue.put(ticket)
            self._changed.notify()

    def post(self, job: Job) -> None:
        """Let the device thread run `job` between two batches."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify()

    def next_work(self, idle: Job) -> Work | None:
        """Block until there is work, calling `idle` now and then. None once closed and everything accepted has run."""
        with self._changed:
            self._busy_until = 0.0
            while True:
                if self._jobs:
                    return self._jobs.popleft()
                queue = min(self.queues.values(), key=lambda q: q.head_deadline, default=None)
                if queue is not None and len(queue):
                    self._linger(queue)
                    batch = queue.next_batch(time.monotonic())
                    if batch:
                        self._busy_until = time.monotonic() + queue.times.estimate(len(batch))
                        return queue, batch
                elif self._closed:
                    return None
                elif not self._changed.wait(IDLE_S):
                    idle()

    def close(self) -> None:
        """End the device thread's loop after everything that was accepted."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _wait(self) -> float:
        running = max(0.0, self._busy_until - time.monotonic())
        return running + sum(queue.work_ahead() for queue in self.queues.values())

    def _linger(self, queue: BatchQueue) -> None:
        until = time.monotonic() + queue.patience()
        while (left := until - time.monotonic()) > 0 and queue.patience() and not self._jobs:
            self._changed.wait(left)
