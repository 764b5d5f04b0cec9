"""The shapes of shapes world, as outlines around the origin with a radius of about one; y points down.

Eight are what the shipped weights know; two more are what the fine-tuning demo teaches them.
"""

from collections.abc import Iterable, Mapping
from math import cos, pi, radians, sin

Point = tuple[float, float]
Outline = tuple[Point, ...]


def turned(outline: Iterable[Point], angle: float) -> Outline:
    """`outline` turned around the origin by `angle` radians, clockwise on the screen."""
    c, s = cos(angle), sin(angle)
    return tuple((x * c - y * s, x * s + y * c) for x, y in outline)


def _regular(corners: int) -> Outline:
    return tuple((cos(2 * pi * i / corners), sin(2 * pi * i / corners)) for i in range(corners))


def _star(points: int, *, outer: float, inner: float) -> Outline:
    radii = (outer, inner) * points
    return turned([(r * cos(pi * i / points), r * sin(pi * i / points)) for i, r in enumerate(radii)], -pi / 2)


def _cross(half_width: float) -> Outline:
    w = half_width
    arm = [(-w, -w), (-w, -1.0), (w, -1.0)]
    return tuple(point for quarter in range(4) for point in turned(arm, quarter * pi / 2))


def _heart(corners: int) -> Outline:
    """The well-known curve x = 16 sin³t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, scaled to one."""
    angles = [2 * pi * i / corners for i in range(corners)]
    return tuple((sin(t) ** 3, -(13 * cos(t) - 5 * cos(2 * t) - 2 * cos(3 * t) - cos(4 * t)) / 16) for t in angles)


def _crescent() -> Outline:
    """A disc with a bite: the outer arc one way, the arc of the bite back."""
    outer = [radians(degrees) for degrees in range(50, 311, 9)]
    bite = [radians(degrees) for degrees in range(285, 74, -9)]
    return tuple([(cos(t), sin(t)) for t in outer] + [(0.35 + 0.75 * cos(t), 0.75 * sin(t)) for t in bite])


# The order is that of the label ids.
OUTLINES: Mapping[str, Outline] = {
    "circle": _regular(40),
    "square": ((-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)),
    "triangle": ((0.0, -1.0), (0.95, 0.8), (-0.95, 0.8)),
    "star": _star(5, outer=1.1, inner=0.45),
    "diamond": ((0.0, -1.1), (0.75, 0.0), (0.0, 1.1), (-0.75, 0.0)),
    "hexagon": _regular(6),
    "cross": _cross(0.33),
    "heart": _heart(40),
}
SHAPES: tuple[str, ...] = tuple(OUTLINES)

# No shipped recipe draws these.
NEW_OUTLINES: Mapping[str, Outline] = {
    "crescent": _crescent(),
    "arrow": ((-1.0, -0.3), (0.1, -0.3), (0.1, -0.8), (1.0, 0.0), (0.1, 0.8), (0.1, 0.3), (-1.0, 0.3)),
}
NEW_SHAPES: tuple[str, ...] = tuple(NEW_OUTLINES)
