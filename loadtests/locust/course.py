"""The course of a run: one leg of load after the other, each judged when its last answer is in.

next leg -> schedule -> samples come in -> all in? -> verdicts -> broken, or no more legs: end
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from loadtests.locust.schedule import Schedule
from loadtests.locust.shapes import Leg
from loadtests.locust.verdicts import Sample, Verdict, judge
from loadtests.slo import Promise

USERS_FOR_S = 4.0  # users at a rate: as many as ask in this time, so that answers may be that late before slots are
FEWEST_USERS = 20


@dataclass(slots=True)
class Course:
    """A run: where it stands, and what came of it so far."""

    legs: Iterator[Leg]
    promised: Mapping[str, Promise]
    schedule: Schedule = field(default_factory=Schedule)
    verdicts: list[Verdict] = field(default_factory=list)
    users: int = FEWEST_USERS
    broken: bool = False
    sustained: float | None = None  # the rate of the last leg that kept every promise
    _leg: Leg = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)
    _told: int = 0

    def tell(self, sample: Sample) -> None:
        """Take in what came of one slot."""
        self._told += 1
        self._samples.append(sample)

    def turn(self) -> bool:
        """Look whether the leg has ended, judge it and begin the next; False at the end of the run."""
        if self.schedule.left or time.monotonic() < self.schedule.until or self._told < self.schedule.taken:
            return True
        self._judge()
        leg = None if self.broken else next(self.legs, None)
        if leg is None:
            self.schedule.close()
            return False
        self._leg = leg
        self.users = max(FEWEST_USERS, round(USERS_FOR_S * max(phase.rate for phase in leg)))
        for phase in leg:
            self.schedule.extend(phase)
        return True

    def _judge(self) -> None:
        verdicts = judge(self._samples, self.promised)
        self._samples = []
        self.verdicts += verdicts
        self.broken = any(verdict.broken for verdict in verdicts if verdict.phase.judged)
        if self._leg and not self.broken:
            self.sustained = self._leg[0].rate
