"""How long the parts of a piece of work take, told to whoever asks, so that no watch is handed through every call.

with timed() as laps: ... -> with lap("decode"): ...          laps == {"decode": 0.004}, of the same thread or task
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_laps: ContextVar[dict[str, float] | None] = ContextVar("laps", default=None)


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """The seconds of each part of what runs inside, by name; parts of one name are added up."""
    laps: dict[str, float] = {}
    token = _laps.set(laps)
    try:
        yield laps
    finally:
        _laps.reset(token)


@contextmanager
def lap(name: str) -> Iterator[None]:
    """What runs inside is the part `name`. Costs two looks at the clock, whether anybody asks or not."""
    began = time.perf_counter()
    try:
        yield
    finally:
        if (laps := _laps.get()) is not None:
            laps[name] = laps.get(name, 0.0) + time.perf_counter() - began
