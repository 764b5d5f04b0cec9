"""Two brakes on trouble: ejecting a replica that keeps failing, and a budget for second tries.

closed --failures within the window--> open --after a while--> half open --one request: ok--> closed
                                         ^------------------------------- failed ------'
"""

from collections import deque


class Breaker:
    """Whether one replica may be used, judged by its last answers. Times are on a monotonic clock, in seconds."""

    def __init__(self, *, failures: int, window_s: float, open_s: float) -> None:
        self.window_s, self.open_s = window_s, open_s
        self._failed: deque[float] = deque(maxlen=failures)
        self._opened: float | None = None
        self._trial = False

    @property
    def closed(self) -> bool:
        """Whether the replica takes its full share."""
        return self._opened is None

    def admits(self, now: float) -> bool:
        """Whether a request may be sent: always while closed, one at a time once the pause is over."""
        return self._opened is None or (not self._trial and now - self._opened >= self.open_s)

    def begin(self) -> None:
        """A request goes out. If the breaker is not closed, this one is the trial."""
        self._trial = self._opened is not None

    def succeed(self) -> None:
        """An answer came that tells of a working replica."""
        self._opened = None
        self._trial = False

    def fail(self, now: float, *, may_open: bool) -> None:
        """A failure came; `may_open` says whether the service can spare this replica."""
        self._failed.append(now)
        full = len(self._failed) == self._failed.maxlen and now - self._failed[0] <= self.window_s
        if self._trial or (full and may_open and self._opened is None):
            self._opened = now
            self._failed.clear()
        self._trial = False

    def abandon(self) -> None:
        """The caller left, or the answer tells nothing: the next request may be the trial."""
        self._trial = False


class RetryBudget:
    """At most a share of the requests of each ten seconds may be tried again, and a few in any case."""

    WINDOW_S = 10.0

    def __init__(self, *, share: float, floor: int) -> None:
        self.share, self.floor = share, floor
        self._since = 0.0
        self._requests = self._retries = 0

    def count(self, now: float) -> None:
        """A request has come."""
        if now - self._since >= self.WINDOW_S:
            self._since, self._requests, self._retries = now, 0, 0
        self._requests += 1

    def take(self) -> bool:
        """Whether one of them may be tried again; if so, it is counted."""
        if self._retries >= max(self.floor, self.share * self._requests):
            return False
        self._retries += 1
        return True
