"""The seconds of one answer: what else a version has to do is not inside them."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from services.finetune.data.examples import Example, PairExample, Place, Source
from services.finetune.latency import EXAMPLES, ROUNDS, latency
from services.finetune.task import Evaluation, Opened
from shared.serving.model import Model

PICTURES: list[Example] = [PairExample(Source(Path("a.png")), "a", None, Place(Path("a"), str(n))) for n in range(40)]


class Sleeper(Model[Example, Example, str, None]):
    """Answers after a while, now and then after a long one; `told` is the order of all answers."""

    def __init__(self, seconds: float, told: list[float]) -> None:
        self._seconds, self._told = seconds, told

    def read(self, path: Path) -> None:
        raise NotImplementedError

    def use(self, state: None) -> None:
        raise NotImplementedError

    def preprocess(self, item: Example) -> Example:
        return item

    def predict(self, batch: Sequence[Example]) -> Sequence[str]:
        self._told.append(self._seconds)
        time.sleep(self._seconds + (0.05 if len(self._told) % 23 == 0 else 0))
        return ["" for _ in batch]

    def example(self) -> Example:
        return PICTURES[0]


def opened(seconds: float, told: list[float]) -> Opened:
    def item(example: Example) -> Any:
        time.sleep(0.001)  # reading the picture
        return example

    def evaluate(examples: Sequence[Example]) -> Evaluation:
        raise AssertionError("nothing is judged while answers are timed")

    return Opened(Sleeper(seconds, told), item, evaluate)


def test_the_median_answer_of_each_counts_and_they_take_turns() -> None:
    told: list[float] = []
    before, after = latency(opened(0.002, told), opened(0.004, told), PICTURES)
    assert before == pytest.approx(0.002, abs=0.0009)
    assert after == pytest.approx(0.004, abs=0.0009)
    assert told == [0.002, 0.004] * EXAMPLES * (1 + ROUNDS)
