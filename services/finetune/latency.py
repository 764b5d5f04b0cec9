"""How long one answer takes, of what serves now and of the new version.

examples -> items -> served, new, served, new, … one answer at a time -> the median of each
"""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from services.finetune.data.examples import Example
from services.finetune.task import Opened

EXAMPLES, ROUNDS = 16, 3


def latency(served: Opened, new: Opened, examples: Sequence[Example]) -> tuple[float, float]:
    """Seconds from one request's item to its answer: neither reading weights nor drawing is inside.

    Both take turns, so that a busy moment of the machine meets both.
    """
    seconds: tuple[list[float], list[float]] = [], []
    for turn in range(1 + ROUNDS):
        for example in examples[:EXAMPLES]:
            for version, taken in zip((served, new), seconds, strict=True):
                spent = _seconds(version, version.item(example))
                if turn:  # the first warms up
                    taken.append(spent)
    return median(seconds[0]), median(seconds[1])


def _seconds(version: Opened, item: Any) -> float:
    began = time.perf_counter()
    version.model.predict([version.model.preprocess(item)])
    return time.perf_counter() - began
