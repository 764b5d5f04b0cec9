"""How far two answers lie apart, and a quick run that asks the shipped CLIP alone and in company."""

import json
import math
from typing import Any

import pytest

from loadtests import answers, bench
from loadtests.pictures import shapes

CIRCLE = {"label": "circle", "score": 0.9, "box": {"xmin": 1.0, "ymin": 2.0, "xmax": 30.0, "ymax": 40.0}}
FAR = CIRCLE | {"score": 0.8, "box": {"xmin": 50.0, "ymin": 2.0, "xmax": 80.0, "ymax": 40.0}}
MOVED = CIRCLE | {"score": 0.875, "box": {"xmin": 1.25, "ymin": 2.0, "xmax": 29.5, "ymax": 40.0}}


def answer(*objects: Any) -> bytes:
    return json.dumps({"data": objects}).encode()


def vector(*numbers: float) -> bytes:
    return json.dumps({"data": [{"embedding": numbers}]}).encode()


def test_equal_answers_lie_nowhere_apart_whatever_their_order() -> None:
    assert answers.detections(answer(CIRCLE, FAR), answer(FAR, CIRCLE)) == (0, 0)
    assert answers.detections(answer(), answer()) == (0, 0)


def test_the_largest_difference_of_a_corner_and_of_a_score_counts() -> None:
    assert answers.detections(answer(FAR, CIRCLE), answer(MOVED, FAR)) == pytest.approx((0.5, 0.025))


@pytest.mark.parametrize("other", [[], [CIRCLE, CIRCLE], [CIRCLE | {"label": "star"}]])
def test_an_object_without_a_counterpart_is_infinitely_far(other: list[Any]) -> None:
    assert answers.detections(answer(CIRCLE), answer(*other)) == (math.inf, math.inf)


def test_the_length_of_a_vector_does_not_count() -> None:
    assert answers.embeddings(vector(1, 2), vector(2, 4)) == pytest.approx(0, abs=1e-12)
    assert answers.embeddings(vector(1, 0), vector(0, 3)) == 1


def test_shapes_are_repeatable_and_differ() -> None:
    assert shapes(1) == shapes(1)
    assert len({shapes(seed) for seed in range(16)}) == 16


def test_batched_embeddings_of_the_shipped_clip_equal_solo_ones() -> None:
    figures = bench.run("agreement", rounds=1, quick=True).figures
    assert [figure.name for figure in figures] == [
        "clip, pictures, batched - solo, 1 - cosine",
        "clip, texts, batched - solo, 1 - cosine",
    ]
    for figure in figures:
        assert figure.verdict == "pass"
        assert float(figure.note.removeprefix("mean batch ")) > 1
