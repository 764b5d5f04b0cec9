"""Shapes of load, as legs: the phases of a leg follow each other at once, and between two legs all answers come in.

steady  one rate                    spike  a rate, several times as much, and the rate again
steps   a rate that grows, leg by leg, until a promise breaks: the last leg that kept all is the saturation point
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Protocol

from loadtests.locust.schedule import Phase

SPIKE = 5.0  # times the rate, for a sixth of the time
STEP = 1.1  # from one step to the next

Leg = list[Phase]


class Shape(Protocol):
    """Legs of load, of a rate in requests per second, and of seconds in all (of steps: each)."""

    def __call__(self, rate: float, seconds: float) -> Iterator[Leg]:
        """The legs, perhaps without an end."""


def steady(rate: float, seconds: float) -> Iterator[Leg]:
    """One rate."""
    yield [Phase("steady", rate, seconds)]


def spike(rate: float, seconds: float) -> Iterator[Leg]:
    """A spike, which may break a promise, and what is left of it a moment later, which may not."""
    sixth = seconds / 6
    yield [
        Phase("before", rate, 2 * sixth),
        Phase("spike", SPIKE * rate, sixth, judged=False),
        Phase("recovery", rate, sixth, judged=False),
        Phase("after", rate, 2 * sixth),
    ]


def steps(rate: float, seconds: float) -> Iterator[Leg]:
    """Rates that grow by a tenth."""
    for number in count():
        now = rate * STEP**number
        yield [Phase(f"{now:.3g}/s", now, seconds)]


SHAPES: Mapping[str, Shape] = {"steady": steady, "spike": spike, "steps": steps}
ENDLESS: AbstractSet[str] = {"steps"}
