"""When what was found counts as what was expected."""

import pytest

from services.detection.golden import GoldenObject, difference
from shared.images.detections import Detection, Detections

EXPECTED = (
    GoldenObject(box=(10, 10, 50, 50), label="circle"),
    GoldenObject(box=(12, 10, 52, 50), label="square"),
)


def found(*objects: tuple[str, tuple[float, float, float, float]]) -> Detections:
    return Detections(100, 100, tuple(Detection(box, label, 1, 0.9) for label, box in objects))


def test_the_same_objects_in_any_order_and_nearly_in_place_are_right() -> None:
    assert difference(EXPECTED, found(("square", (12, 10.5, 52, 50)), ("circle", (10, 10, 50.9, 50)))) is None


def test_nothing_is_right_where_nothing_is_expected() -> None:
    assert difference((), found()) is None


@pytest.mark.parametrize(
    ("objects", "wrong"),
    [
        ((), "no circle was found"),
        ((("circle", (10, 10, 50, 50)),), "no square was found"),
        ((("circle", (10, 10, 50, 50)), ("circle", (12, 10, 52, 50))), "no square was found"),
        ((("circle", (10, 10, 50, 60)), ("square", (12, 10, 52, 50))), "no circle was found"),
        ((("circle", (10, 10, 50, 50)), ("square", (12, 10, 52, 50)), ("heart", (0, 0, 9, 9))), "1 objects more"),
    ],
    ids=["none", "one", "wrong label", "IoU of 0.8", "one more"],
)
def test_anything_else_is_told(objects: tuple[tuple[str, tuple[float, float, float, float]], ...], wrong: str) -> None:
    assert wrong in str(difference(EXPECTED, found(*objects)))
