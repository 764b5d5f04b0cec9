from math import pi

import pytest

from services.finetune.demo.shapes import OUTLINES, SHAPES, turned


def area(outline: tuple[tuple[float, float], ...]) -> float:
    """By the shoelace formula."""
    following = outline[1:] + outline[:1]
    return abs(sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(outline, following, strict=True))) / 2


def test_the_shapes_keep_the_order_of_their_label_ids() -> None:
    assert SHAPES == ("circle", "square", "triangle", "star", "diamond", "hexagon", "cross", "heart")


@pytest.mark.parametrize("shape", SHAPES)
def test_an_outline_is_about_as_wide_as_its_radius_says(shape: str) -> None:
    xs, ys = zip(*OUTLINES[shape], strict=True)
    assert 1.4 < max(xs) - min(xs) < 2.3
    assert 1.5 < max(ys) - min(ys) < 2.3
    assert 0.8 < area(OUTLINES[shape]) < pi


def test_known_areas_come_out() -> None:
    assert area(OUTLINES["square"]) == pytest.approx(1.7**2)
    assert area(OUTLINES["hexagon"]) == pytest.approx(1.5 * 3**0.5)
    assert area(OUTLINES["cross"]) == pytest.approx(2 * (2 * 0.66) - 0.66**2)


def test_a_turn_keeps_the_area_and_a_full_one_changes_nothing() -> None:
    heart = OUTLINES["heart"]
    assert area(turned(heart, 0.7)) == pytest.approx(area(heart))
    assert turned(heart, 2 * pi)[3] == pytest.approx(heart[3])
    assert turned([(1.0, 0.0)], pi / 2)[0] == pytest.approx((0.0, 1.0))
