"""Charts: round axes that hold their lines, and words for those who do not see them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.finetune.report.charts import POINTS, chart, points, span, ticks
from services.finetune.task import Curve

NUMBERS = st.floats(-1e6, 1e6, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-6)


@given(st.lists(NUMBERS, min_size=1))
def test_an_axis_holds_all_values_between_its_first_and_last_tick(values: list[float]) -> None:
    axis = span(values)
    slack = (axis[1] - axis[0]) * 1e-6
    assert axis[0] - slack <= min(values) <= max(values) <= axis[1] + slack
    assert 2 <= len(ticks(axis)) <= 12


@pytest.mark.parametrize(
    ("values", "axis", "marks"),
    [
        ([0.85, 0.97], (0, 1), [0, 0.2, 0.4, 0.6, 0.8, 1]),  # scores are drawn alike, whatever they are
        ([0.3, 7.2], (0, 8), [0, 2, 4, 6, 8]),
        ([5], (0, 5), [0, 1, 2, 3, 4, 5]),
        ([-3, -1], (-3, -1), [-3, -2.5, -2, -1.5, -1]),
        ([0, 0.003], (0, 0.003), [0, 0.001, 0.002, 0.003]),
    ],
)
def test_axes_are_round(values: list[float], axis: tuple[float, float], marks: list[float]) -> None:
    assert span(values) == pytest.approx(axis)
    assert ticks(span(values)) == pytest.approx(marks)


def test_long_lines_are_thinned_out_and_keep_their_ends() -> None:
    line = points(Curve("loss", list(range(10_001)), list(range(10_001))))
    assert len(line) <= POINTS + 1
    assert (line[0], line[-1]) == ((0, 0), (10_000, 10_000))


def test_what_is_not_finite_is_left_out() -> None:
    assert points(Curve("loss", [1, 2, 3], [0.5, math.nan, math.inf])) == [(1, 0.5)]
    assert chart("loss", [Curve("loss", [1.0], [math.nan])], x="step", y="loss") == ""


def test_a_chart_is_told_in_words() -> None:
    drawn = chart("loss over steps", [Curve("loss", [1, 80], [6.0, 0.25])], x="step", y="loss")
    assert "<title>loss over steps</title>" in drawn
    assert "<desc>loss over step. loss from 6 at 1 to 0.25 at 80.</desc>" in drawn


def test_lines_that_share_a_colour_differ_in_their_dashes() -> None:
    curves = [Curve(f"class {number}", [0, 1], [0, 1]) for number in range(10)]
    drawn = chart("precision over recall", curves, x="recall", y="precision")
    assert drawn.count('class="colour0 dash0"') == drawn.count('class="colour0 dash1"') == 2  # the line and its key
