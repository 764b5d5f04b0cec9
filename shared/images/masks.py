"""Masks as they travel: COCO run lengths (exact), or outer contours as polygons (close, and easy to draw).

A polygon follows the edges between pixels, not their centres, so that a box of w x h pixels has the area w * h. Flow:
edges between inside and outside -> chained into loops -> holes dropped -> points simplified.
"""

from collections import defaultdict
from typing import TypedDict

import numpy as np
from faster_coco_eval.core import mask as coco
from numpy.typing import NDArray

from shared.images.detections import Mask

Vertex = tuple[int, int]
Points = NDArray[np.float64]
TOLERANCE = 1.0  # pixels; flattens the stairs of slanted lines. Thin and small shapes get less (area by circumference)


class RunLengths(TypedDict):
    """A mask in COCO's compressed form: `size` is [height, width], `counts` the runs of a column-wise scan."""

    size: list[int]
    counts: str


def encode_rle(mask: Mask) -> RunLengths:
    """The run lengths of an HxW `mask`."""
    counts: bytes = coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"]
    return {"size": list(mask.shape), "counts": counts.decode()}


def polygons(mask: Mask) -> list[list[float]]:
    """The outer contours of an HxW `mask` as flat lists x1, y1, x2, y2, … in absolute pixels.

    Pixels that touch only at a corner belong to different contours. Holes are filled: run lengths keep them.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    corner = np.array((columns[0], rows[0]), dtype=np.float64)
    contours = []
    for loop in _loops(_edges(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])):
        area = _area(loop)
        if area > 0:
            simple = _simplify(loop, min(TOLERANCE, area / len(loop) / 8))
            contours.append((simple + corner).ravel().tolist())
    return contours


def _edges(mask: Mask) -> dict[Vertex, list[Vertex]]:
    """From each corner of a pixel to the next ones along the border, with the inside on the right hand."""
    inside = np.pad(np.asarray(mask, dtype=bool), 1)
    core = inside[1:-1, 1:-1]
    following = defaultdict(list)
    for outside, start, end in (
        (inside[:-2, 1:-1], (0, 0), (1, 0)),  # above: go right along the top of the pixel
        (inside[1:-1, 2:], (1, 0), (1, 1)),
        (inside[2:, 1:-1], (1, 1), (0, 1)),
        (inside[1:-1, :-2], (0, 1), (0, 0)),
    ):
        rows, columns = (axis.tolist() for axis in np.nonzero(core & ~outside))
        for x, y in zip(columns, rows, strict=True):
            following[x + start[0], y + start[1]].append((x + end[0], y + end[1]))
    return following


def _loops(following: dict[Vertex, list[Vertex]]) -> list[Points]:
    """Closed chains of the edges, which are used up: clockwise around an outside, the other way around a hole."""
    loops = []
    while following:
        here = start = next(iter(following))
        right = start
        loop: list[Vertex] = []
        while not loop or here != start:
            loop.append(here)
            ends = following[here]
            there = ends.pop(ends.index(right) if right in ends else 0)
            if not ends:
                del following[here]
            # Where two contours touch at a corner, the turn to the right stays on this one.
            right = (there[0] - (there[1] - here[1]), there[1] + (there[0] - here[0]))
            here = there
        loops.append(np.array(loop, dtype=np.float64))
    return loops


def _area(loop: Points) -> float:
    """The signed area (shoelace formula), positive where the loop goes clockwise on the screen."""
    x, y = loop.T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _simplify(loop: Points, tolerance: float) -> Points:
    """Drop points within `tolerance` pixels of the line between their kept neighbours (Douglas-Peucker)."""
    closed = np.concatenate((loop, loop[:1]))
    far = int(np.argmax(np.hypot(*(loop - loop[0]).T)))
    kept, pending = {0, far}, [(0, far), (far, len(loop))]
    while pending:
        first, last = pending.pop()
        if last - first < 2:
            continue
        (dx, dy), (x, y) = closed[last] - closed[first], (closed[first + 1 : last] - closed[first]).T
        distances = np.abs(dx * y - dy * x) / np.hypot(dx, dy)
        worst = int(np.argmax(distances))
        if distances[worst] > tolerance:
            split = first + 1 + worst
            kept.add(split)
            pending += [(first, split), (split, last)]
    return loop[sorted(kept)]
