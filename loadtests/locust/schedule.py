"""Arrivals that do not wait for answers: a schedule of times, written before anything is asked.

phase -> so many arrivals at random times of it (Poisson's, given their number) -> taken in order by whoever is free

Who takes a slot waits until its time, asks, and counts from the **slot**, not from when it came to ask. If the server
stalls, all users wait in it, slots grow overdue, and each of them tells how long its user would have waited. A loop of
"ask, wait, ask again" would have asked less meanwhile and shown one slow answer: coordinated omission.
"""

import time
from collections import deque
from dataclasses import dataclass
from random import Random

LEAD_S = 2.0  # until the first slot: all users are there by then
TICK_S = 0.25  # how often a user looks for slots where there are none


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of `seconds` with `rate` arrivals a second; what is not `judged` is told only."""

    name: str
    rate: float
    seconds: float
    judged: bool = True


@dataclass(frozen=True, slots=True)
class Slot:
    """When somebody is to ask, in seconds of the monotonic clock."""

    at: float
    phase: Phase


class Schedule:
    """The slots of a run, each handed out once."""

    def __init__(self, seed: int = 0) -> None:
        self.until = 0.0  # the end of the last phase
        self.taken = 0
        self._slots: deque[Slot] = deque()
        self._random = Random(seed)
        self._closed = False

    def extend(self, phase: Phase) -> None:
        """Let `phase` follow what is scheduled, or begin it soon if that is over."""
        begin = max(self.until, time.monotonic() + LEAD_S)
        offsets = sorted(self._random.uniform(0, phase.seconds) for _ in range(round(phase.rate * phase.seconds)))
        self._slots.extend(Slot(begin + offset, phase) for offset in offsets)
        self.until = begin + phase.seconds

    def take(self) -> Slot | None:
        """Wait for the time of the next slot; None once there will be no more. Many may wait at once."""
        while not self._closed:
            if self._slots:
                slot = self._slots.popleft()
                self.taken += 1
                time.sleep(max(0.0, slot.at - time.monotonic()))
                return slot
            time.sleep(TICK_S)
        return None

    @property
    def left(self) -> int:
        """Slots that nobody has taken."""
        return len(self._slots)

    def close(self) -> None:
        """Let nobody wait for more."""
        self._closed = True
