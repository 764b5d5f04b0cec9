"""A bounded memory of answers: what was used longest ago goes first."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from shared.serving.metrics import CACHE_REQUESTS

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """At most `limit` values by key, for any number of threads; hits and misses are counted under `model` and `name`.

    A key must tell everything that the value depends on, the weights included, or the cache must go with the weights.
    """

    def __init__(self, limit: int, *, model: str, name: str) -> None:
        self.limit = limit
        self._values: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()
        self._hit = CACHE_REQUESTS.labels(model, name, "hit")
        self._miss = CACHE_REQUESTS.labels(model, name, "miss")

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: K) -> V | None:
        """The value of `key`, which counts as used now; None where there is none."""
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
        (self._miss if value is None else self._hit).inc()
        return value

    def put(self, key: K, value: V) -> None:
        """Remember `value`; where the cache is full, forget what was used longest ago."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self.limit:
                self._values.popitem(last=False)
