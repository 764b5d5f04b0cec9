"""Scores before and after, side by side."""

import math

import pytest

from services.finetune.comparison import Comparison, Row
from services.finetune.task import Evaluation

BEFORE = Evaluation({"ap50": 0.5, "ap50/circle": 1.0, "gone": 0.25})
AFTER = Evaluation({"ap50": 0.91236, "ap50/circle": 0.99, "ap50/arrow": 0.8, "loss": math.nan})


def test_every_finite_score_of_either_version_has_a_row() -> None:
    side = Comparison(BEFORE, AFTER, None, None, 10, 0).new
    assert side.rows() == [
        Row("ap50", 0.5, 0.9124),
        Row("ap50/circle", 1.0, 0.99),
        Row("ap50/arrow", None, 0.8),
        Row("gone", 0.25, None),
    ]
    assert [row.change for row in side.rows()] == [0.4124, -0.01, 0.8, -0.25]


@pytest.mark.parametrize(
    ("row", "gain"),
    [
        (Row("ap50", 0.5, 0.75), 0.25),
        (Row("loss", 0.5, 0.75), -0.25),
        (Row("loss/circle", 0.5, 0.25), 0.25),
        (Row("space_shift", 0.1, 0.3), -0.2),
        (Row("exact_match/loss", 0.5, 0.75), 0.25),  # a class of that name
        (Row("space_shift", None, 0.3), None),
    ],
)
def test_a_gain_is_what_became_better_whichever_way_the_score_goes(row: Row, gain: float | None) -> None:
    assert row.gain == gain


def test_classes_are_those_of_one_score() -> None:
    side = Comparison(BEFORE, AFTER, None, None, 10, 0).new
    assert [row.name for row in side.classes("ap50")] == ["ap50/circle", "ap50/arrow"]
    assert side.classes("ap") == []


def test_the_old_side_exists_where_both_were_judged_on_old_data() -> None:
    assert [side.name for side in Comparison(BEFORE, AFTER, None, None, 10, 0).sides] == ["new"]
    both = Comparison(BEFORE, AFTER, AFTER, BEFORE, 10, 7)
    assert [(side.name, side.examples) for side in both.sides] == [("new", 10), ("old", 7)]
