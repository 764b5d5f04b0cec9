"""Moving windows: at most so many hits within any stretch of a rate's length.

The `limits` library reads the rates; its storage in memory is not used, as it starts a timer thread for every ten
milliseconds of traffic (60 to 70 µs of CPU time per request, five times all the rest of the gate), counts on the wall
clock, and keeps every name for the length of its window, however many there are.
"""

import functools
import time
from collections import OrderedDict, deque
from dataclasses import dataclass

import limits

parse_rate = functools.cache(limits.parse)


@dataclass(frozen=True, slots=True)
class Hit:
    """Whether a hit was within the rate, how many more are, and the seconds until the oldest one counts no more."""

    within: bool
    amount: int
    remaining: int
    reset_s: float


class Windows:
    """The last hits by name, of the `names` that were hit last."""

    def __init__(self, *, names: int = 10_000) -> None:
        self.names = names
        self._hits: OrderedDict[str, deque[float]] = OrderedDict()

    def hit(self, name: str, rate: str) -> Hit:
        """Count one hit, if it is within `rate` (such as `600/minute`); one that is not counts for nothing."""
        parsed = parse_rate(rate)
        amount, seconds = parsed.amount, parsed.get_expiry()
        now = time.monotonic()
        hits = self._recent(name, now - seconds)
        within = len(hits) < amount
        if within:
            hits.append(now)
        return Hit(within, amount, max(0, amount - len(hits)), hits[0] + seconds - now if hits else 0.0)

    def _recent(self, name: str, since: float) -> deque[float]:
        hits = self._hits.setdefault(name, deque())
        self._hits.move_to_end(name)
        if len(self._hits) > self.names:
            self._hits.popitem(last=False)
        while hits and hits[0] <= since:
            hits.popleft()
        return hits
