"""The CPU pool: decoding, resizing and parsing, off the event loop and bounded."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from shared import tracing
from shared.errors import Unavailable

T = TypeVar("T")


class Pool:
    """A few threads, and a bound on the work that may wait for them. Pillow and torch release the GIL."""

    def __init__(self, workers: int, *, limit: int) -> None:
        self.limit = limit
        self.outstanding = 0
        self._lock = threading.Lock()
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="preprocess")

    def submit(self, function: Callable[..., object], *arguments: object) -> None:
        """Let a thread of the pool run `function(*arguments)`, whose result nobody waits for and which never raises.

        What is submitted was accepted by a bounded queue, so it needs no bound here.
        """
        self._executor.submit(function, *arguments)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """`function(*arguments)` on a thread of the pool. Raises `Unavailable` when too much waits already."""
        with self._lock:
            if self.outstanding >= self.limit:
                raise Unavailable
            self.outstanding += 1
        work = self._executor.submit(function, *arguments)
        work.add_done_callback(self._done)
        with tracing.span(getattr(function, "__name__", "work").strip("_")):
            return await asyncio.wrap_future(work)

    def _done(self, _: object) -> None:
        with self._lock:
            self.outstanding -= 1

    def close(self) -> None:
        """End the threads after the work that they have."""
        self._executor.shutdown(wait=True, cancel_futures=True)
