"""Objects as their owner drew them -> a DetectionExample, held against the picture itself.

Draft     what a row says, before its picture was looked at
fit       size told = size seen, boxes and masks inside the picture; all that is wrong, each at its own place
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.finetune.data import masks
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Box, DetectionExample, Place, Problem, Source
from services.finetune.data.fields import numbers

OVERHANG = 1.0  # pixels beyond the edge that are rounding, not a mistake


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: `box` is left, top, width and height in pixels; `mask` a COCO segmentation, not yet checked."""

    box: tuple[float, float, float, float]
    label: str
    mask: Any | None
    place: Place


@dataclass(frozen=True, slots=True)
class Draft:
    """A picture with its objects; `size` is what the row tells of it."""

    picture: Source
    size: tuple[int, int] | None
    things: tuple[Thing, ...]
    place: Place

    def fit(self, picture: Source, size: tuple[int, int]) -> DetectionExample | list[Problem]:
        """The example, with `picture` of `size`; or what is wrong."""
        if self.size is not None and self.size != size:
            (width, height), (w, h) = self.size, size
            told = f"the row says {width} x {height} pixels, and the picture has {w} x {h} (upright, as EXIF tells)"
            return [Problem(self.place, f"{told}. Correct the row, and look at its boxes.")]
        boxes, problems = [], []
        for thing in self.things:
            try:
                boxes.append(inside(thing.box, size))
                if thing.mask is not None:
                    masks.check(thing.mask, size)
            except BrokenRow as fault:
                problems.append(Problem(thing.place, str(fault)))
        if problems:
            return problems
        drawn = tuple(thing.mask for thing in self.things if thing.mask is not None)
        labels = tuple(thing.label for thing in self.things)
        complete = drawn if drawn and len(drawn) == len(labels) else None
        return DetectionExample(picture, size, tuple(boxes), labels, complete, self.place)

    @property
    def half_masked(self) -> bool:
        """Whether some of its objects have a mask, and some have not."""
        return len({thing.mask is None for thing in self.things}) == 2


def drawn(value: object, name: str) -> tuple[float, float, float, float]:
    """`value` as left, top, width, height with an area. Raises `BrokenRow`."""
    found = numbers(value, name)
    if len(found) != 4:
        raise BrokenRow(f"'{name}' has {len(found)} numbers. Write four: left, top, width, height.")
    x, y, width, height = found
    if width < 0 or height < 0:
        raise BrokenRow(f"'{name}' has a negative width or height. Write left, top, width, height.")
    if width == 0 or height == 0:
        raise BrokenRow(f"'{name}' has no area. Draw the box again, or remove it.")
    return x, y, width, height


def inside(box: Sequence[float], size: tuple[int, int]) -> Box:
    """Two corners in a picture of `size`; less than a pixel beyond the edge is cut off. Raises `BrokenRow`."""
    x, y, width, height = box
    corners = (x, y, x + width, y + height)
    beyond = max(-x, -y, corners[2] - size[0], corners[3] - size[1])
    if beyond > OVERHANG:
        raise BrokenRow(
            f"the box reaches {beyond:.4g} pixels out of the picture of {size[0]} x {size[1]}."
            " Write left, top, width, height in pixels of the upright picture."
        )
    if max(box) <= 1 and min(size) > 1:
        raise BrokenRow("the box lies within one pixel: these may be shares of the sides. Write pixels.")
    x1, y1, x2, y2 = max(x, 0.0), max(y, 0.0), min(corners[2], size[0]), min(corners[3], size[1])
    if x2 <= x1 or y2 <= y1:
        raise BrokenRow("the box lies on the edge of the picture, with no area inside. Draw it again, or remove it.")
    return x1, y1, x2, y2
