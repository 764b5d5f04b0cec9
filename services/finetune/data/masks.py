"""COCO segmentations: polygons, run lengths as numbers, and run lengths as text.

check    whether a segmentation can be the mask of a picture
raster   -> pixels, for training and for drawing

The text form is what pycocotools writes: numbers in base 32, least digits first, from the fourth on as differences to
the one two before (https://github.com/cocodataset/cocoapi, `common/maskApi.c`).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from services.finetune.data.errors import BrokenRow
from services.finetune.data.fields import numbers

Mask = NDArray[np.bool_]
_REMAKE = "Write the segmentation anew with COCO's tools."


def check(segmentation: Any, size: tuple[int, int]) -> None:
    """Hold `segmentation` against a picture of `size` (width, height). Raises `BrokenRow`."""
    if isinstance(segmentation, dict):
        _check_runs(segmentation, size)
    elif isinstance(segmentation, list) and segmentation:
        for ring in segmentation:
            _check_ring(ring, size)
    else:
        raise BrokenRow(f"'segmentation' is neither polygons nor run lengths. {_REMAKE}")


def raster(segmentation: Any, size: tuple[int, int]) -> Mask:
    """The pixels of a checked `segmentation`, `[height, width]`."""
    width, height = size
    if isinstance(segmentation, dict):
        runs = _runs(segmentation["counts"])
        inside = np.arange(len(runs)) % 2 == 1
        return np.repeat(inside, runs).reshape(width, height).T
    canvas = Image.new("1", size)
    for ring in segmentation:
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in np.reshape(ring, (-1, 2))], fill=1)
    return np.array(canvas)


def _check_ring(ring: Any, size: tuple[int, int]) -> None:
    found = numbers(ring, "segmentation")
    if len(found) < 6 or len(found) % 2:
        raise BrokenRow(
            f"a polygon of 'segmentation' has {len(found)} numbers. Write x and y of three points at least."
        )
    xs, ys = found[::2], found[1::2]
    if min(found) < -1 or max(xs) > size[0] + 1 or max(ys) > size[1] + 1:
        raise BrokenRow(f"a polygon of 'segmentation' leaves the picture of {size[0]} x {size[1]} pixels. Cut it off.")
    if min(xs) == max(xs) or min(ys) == max(ys):
        raise BrokenRow("a polygon of 'segmentation' has no area. Draw it again, or remove it.")


def _check_runs(segmentation: dict[str, Any], size: tuple[int, int]) -> None:
    width, height = size
    if numbers(segmentation.get("size"), "segmentation.size") != [height, width]:
        raise BrokenRow(f"'segmentation.size' is not the picture's height and width, {height} and {width}. {_REMAKE}")
    counts = segmentation.get("counts")
    if not isinstance(counts, str):
        found = numbers(counts, "segmentation.counts")
        if any(count < 0 or count % 1 for count in found):
            raise BrokenRow(f"'segmentation.counts' has a number that is no count of pixels. {_REMAKE}")
    runs = _runs(counts)
    if min(runs, default=0) < 0 or sum(runs) != width * height:
        raise BrokenRow(f"'segmentation.counts' does not cover the picture's {width * height:,} pixels. {_REMAKE}")
    if not sum(runs[1::2]):
        raise BrokenRow("'segmentation' is an empty mask. Draw it again, or remove the object.")


def _runs(counts: Any) -> list[int]:
    """How many pixels, column by column, are outside, inside, outside … Raises `BrokenRow`."""
    if not isinstance(counts, str):
        return [int(count) for count in counts]
    runs: list[int] = []
    value = shift = 0
    for character in counts:
        digit = ord(character) - 48
        if not 0 <= digit < 64 or shift > 30:
            raise BrokenRow(f"'segmentation.counts' is not what COCO's tools write. {_REMAKE}")
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        if digit & 16:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
