"""Batch times, learnt as they are observed: what admission and the wait for batch-mates are decided on."""

from bisect import bisect_left

SMOOTHING = 0.2  # weight of the newest observation


class BatchTimes:
    """Seconds per batch size, as exponentially weighted means over sizes 1, 2, 4, 8 …"""

    def __init__(self, max_batch: int) -> None:
        self.sizes = [1]
        while self.sizes[-1] < max_batch:
            self.sizes.append(min(self.sizes[-1] * 2, max_batch))
        self._means: list[float | None] = [None] * len(self.sizes)
        self._estimates = [0.0] * (max_batch + 1)  # by size: asked for with every request, learnt with every batch

    def observe(self, size: int, seconds: float) -> None:
        """Learn that a batch of `size` took `seconds`."""
        bucket = self._bucket(size)
        mean = self._means[bucket]
        scaled = seconds * self.sizes[bucket] / size
        self._means[bucket] = scaled if mean is None else mean + SMOOTHING * (scaled - mean)
        self._estimates = [self._guess(size) for size in range(len(self._estimates))]

    def estimate(self, size: int) -> float:
        """Seconds that a batch of `size` will take; 0 while nothing is known, in proportion to what is."""
        return self._estimates[min(size, len(self._estimates) - 1)]

    def _guess(self, size: int) -> float:
        bucket = self._bucket(size)
        known = [(abs(i - bucket), self.sizes[i], mean) for i, mean in enumerate(self._means) if mean is not None]
        _, nearest, mean = min(known)
        return mean * size / nearest

    def _bucket(self, size: int) -> int:
        return min(bisect_left(self.sizes, size), len(self.sizes) - 1)
