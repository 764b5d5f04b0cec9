"""Masks: run lengths against a small reference decoder of our own, polygons against the masks they came from."""

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from shared.images.detections import Mask
from shared.images.masks import RunLengths, encode_rle, polygons


def decoded(rle: RunLengths) -> Mask:
    """COCO's compressed run lengths, read as its C source describes them: 5 bits a character, then differences."""
    counts: list[int] = []
    characters = iter(rle["counts"])
    for first in characters:
        value, shift, code = 0, 0, ord(first) - 48
        while True:
            value |= (code & 31) << shift
            shift += 5
            if not code & 32:
                break
            code = ord(next(characters)) - 48
        value -= (1 << shift) if code & 16 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    height, width = rle["size"]
    return flat.reshape(width, height).T


def drawn(contours: list[list[float]], height: int, width: int) -> Mask:
    """The mask that COCO's own tools make of polygons."""
    filled: Mask = (
        coco.decode(coco.merge(coco.frPyObjects(contours, height, width))).reshape(height, width).astype(bool)
    )
    return filled


def shape(kind: str, box: tuple[int, int, int, int], size: int = 200) -> Mask:
    image = Image.new("1", (size, size))
    if kind == "triangle":
        left, top, right, bottom = box
        ImageDraw.Draw(image).polygon([(left, bottom), (right, bottom), ((left + right) // 2, top)], fill=1)
    else:
        getattr(ImageDraw.Draw(image), kind)(box, fill=1)
    return np.array(image)


masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=24))


@given(masks)
def test_run_lengths_decode_to_the_same_mask(mask: Mask) -> None:
    rle = encode_rle(mask)
    assert rle["size"] == list(mask.shape)
    assert np.array_equal(decoded(rle), mask)


def test_long_runs_survive() -> None:
    mask = np.zeros((700, 900), np.bool_)
    mask[3:600, 10:890] = True
    assert np.array_equal(decoded(encode_rle(mask)), mask)


@pytest.mark.parametrize("kind", ["rectangle", "ellipse", "triangle"])
@pytest.mark.parametrize(
    "box", [(5, 5, 8, 9), (0, 0, 12, 7), (20, 30, 60, 44), (3, 100, 190, 110), (10, 10, 190, 150), (0, 0, 199, 199)]
)
def test_polygons_cover_the_shape_they_came_from(kind: str, box: tuple[int, int, int, int]) -> None:
    mask = shape(kind, box)
    again = drawn(polygons(mask), *mask.shape)
    assert (mask & again).sum() / (mask | again).sum() >= 0.95


def test_rectangle_is_four_corners_on_the_edges_between_pixels() -> None:
    mask = np.zeros((9, 9), np.bool_)
    mask[2:5, 3:8] = True
    assert polygons(mask) == [[3, 2, 8, 2, 8, 5, 3, 5]]


def test_one_pixel_is_a_square_of_one() -> None:
    assert polygons(np.ones((1, 1), np.bool_)) == [[0, 0, 1, 0, 1, 1, 0, 1]]


def test_empty_mask_has_no_polygon() -> None:
    assert polygons(np.zeros((5, 7), np.bool_)) == []


def test_separate_parts_are_separate_and_corners_do_not_join() -> None:
    assert len(polygons(np.eye(3, dtype=np.bool_))) == 3


def test_holes_are_filled() -> None:
    ring = shape("ellipse", (10, 10, 150, 150)) & ~shape("ellipse", (60, 60, 90, 90))
    assert len(polygons(ring)) == 1
    again = drawn(polygons(ring), *ring.shape)
    whole = shape("ellipse", (10, 10, 150, 150))
    assert (whole & again).sum() / (whole | again).sum() >= 0.95


def test_a_circle_takes_few_points() -> None:
    (circle,) = polygons(shape("ellipse", (10, 10, 190, 190)))
    assert len(circle) // 2 < 100


@given(masks, st.integers(0, 50), st.integers(0, 50))
def test_polygons_move_with_the_mask_and_stay_inside_its_box(mask: Mask, down: int, right: int) -> None:
    moved = np.pad(mask, ((down, 0), (right, 0)))
    offset = np.array((right, down))
    expected = [(np.reshape(ring, (-1, 2)) + offset).ravel().tolist() for ring in polygons(mask)]
    assert polygons(moved) == expected
    for ring in expected:
        assert len(ring) >= 6
        assert max(ring[::2]) <= moved.shape[1]
        assert max(ring[1::2]) <= moved.shape[0]
