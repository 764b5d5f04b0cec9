"""Line charts as inline SVG that a screen reader can tell: a title, a sentence, and a name on every line.

curves -> finite points, thinned out -> axes from round ticks -> polylines -> a legend where there are several
"""

import math
from collections.abc import Sequence

from services.finetune.report.markup import Markup, join, tag
from services.finetune.task import Curve

WIDTH, HEIGHT = 360, 230
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 10, 190  # of the plane, in the picture's units
COLOURS, DASHES = 8, 3  # that page.css knows
LINES = COLOURS * DASHES  # that can be told apart
POINTS = 300  # of one line
DOTTED = 20  # lines of fewer points show each

Points = list[tuple[float, float]]
Span = tuple[float, float]


def chart(title: str, curves: Sequence[Curve], *, x: str, y: str) -> Markup:
    """A figure with its caption; `x` and `y` name the axes."""
    drawn = [(curve.name, points(curve)) for curve in curves[:LINES]]
    drawn = [(name, line) for name, line in drawn if line]
    if not drawn:
        return Markup("")
    across = span([point[0] for _, line in drawn for point in line])
    up = span([point[1] for _, line in drawn for point in line])
    hidden = f" (the first {LINES} of {len(curves)} lines)" if len(curves) > LINES else ""
    picture = tag(
        "svg",
        tag("title", title),
        tag("desc", description(drawn, x=x, y=y)),
        _axes(across, up, x=x, y=y),
        (_line(number, name, line, across, up) for number, (name, line) in enumerate(drawn)),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )
    return tag("figure", tag("figcaption", title, hidden), picture, _legend([name for name, _ in drawn]))


def points(curve: Curve) -> Points:
    """The finite points of a curve, at most `POINTS` of them and always the last."""
    finite = [(x, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(x) and math.isfinite(y)]
    stride = -(-len(finite) // POINTS) or 1
    return finite[:-1][::stride] + finite[-1:]


def span(values: Sequence[float]) -> Span:
    """Least and greatest of an axis: round numbers that hold all values, 0 where it is near, and 0 to 1 for scores."""
    low, high = min(values), max(values)
    if low >= 0 and 0.5 <= high <= 1:
        return 0.0, 1.0
    if 0 < low < high / 2:
        low = 0.0
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0) or 1.0
    step = _step(low, high)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def ticks(axis: Span) -> list[float]:
    """Four to ten round numbers along an axis."""
    step = _step(*axis)
    first = math.ceil(axis[0] / step - 1e-9)
    last = math.floor(axis[1] / step + 1e-9)
    return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def description(drawn: Sequence[tuple[str, Points]], *, x: str, y: str) -> str:
    """The chart in words."""
    ends = (
        f"{name} from {line[0][1]:.4g} at {line[0][0]:.4g} to {line[-1][1]:.4g} at {line[-1][0]:.4g}"
        for name, line in drawn
    )
    return f"{y} over {x}. {'; '.join(ends)}."


def _step(low: float, high: float) -> float:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _across(value: float, axis: Span) -> float:
    return round(LEFT + (value - axis[0]) / (axis[1] - axis[0]) * (RIGHT - LEFT), 1)


def _up(value: float, axis: Span) -> float:
    return round(BOTTOM - (value - axis[0]) / (axis[1] - axis[0]) * (BOTTOM - TOP), 1)


def _axes(across: Span, up: Span, *, x: str, y: str) -> Markup:
    rows = [(_up(tick, up), tick) for tick in ticks(up)]
    columns = [(_across(tick, across), tick) for tick in ticks(across)]
    middle = (TOP + BOTTOM) / 2
    return join(
        (tag("path", d=f"M{LEFT} {at}H{RIGHT}", class_="grid") for at, _ in rows),
        (tag("text", f"{tick:g}", x=LEFT - 6, y=at + 4, text_anchor="end") for at, tick in rows),
        (tag("text", f"{tick:g}", x=at, y=BOTTOM + 16, text_anchor="middle") for at, tick in columns),
        tag("text", x, x=(LEFT + RIGHT) / 2, y=HEIGHT - 6, text_anchor="middle"),
        tag("text", y, x=0, y=0, text_anchor="middle", transform=f"translate(10 {middle}) rotate(-90)"),
    )


def _line(number: int, name: str, line: Points, across: Span, up: Span) -> Markup:
    placed = [(_across(x, across), _up(y, up)) for x, y in line]
    dots = placed if len(placed) <= DOTTED else []
    return tag(
        "g",
        tag("title", name),
        tag("polyline", points=" ".join(f"{x:g},{y:g}" for x, y in placed), class_="line"),
        (tag("circle", cx=x, cy=y, r=2.2) for x, y in dots),
        class_=_style(number),
    )


def _legend(names: Sequence[str]) -> Markup | None:
    if len(names) < 2:
        return None
    key = [tag("svg", tag("path", d="M0 6H26", class_="line"), viewBox="0 0 26 12", aria_hidden="true") for _ in names]
    entries = zip(names, key, strict=True)
    return tag(
        "ul", (tag("li", s, tag("span", n), class_=_style(i)) for i, (n, s) in enumerate(entries)), class_="legend"
    )


def _style(number: int) -> str:
    return f"colour{number % COLOURS} dash{number // COLOURS % DASHES}"
