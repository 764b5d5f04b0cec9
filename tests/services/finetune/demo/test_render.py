from dataclasses import replace

import numpy as np
import pytest

from services.finetune.demo import render
from services.finetune.demo.scenes import Scene, World, scene, scenes

WORLD = World()


def seen(scene: Scene, side: int) -> render.Pixels:
    return render.masks(render.instances(scene, side), len(scene.things))


def grown(mask: render.Pixels) -> render.Pixels:
    """The mask and its neighbours at a distance of one pixel."""
    padded = np.pad(mask, 1)
    height, width = mask.shape
    shifts = [padded[y : y + height, x : x + width] for y in range(3) for x in range(3)]
    return np.asarray(np.maximum.reduce(shifts))


def touch(scene: Scene) -> bool:
    masks = seen(scene, 160)
    return any((grown(a) & b).any() for i, a in enumerate(masks) for b in masks[:i])


@pytest.mark.parametrize("aspect", [1.0, 4 / 3, 3 / 4])
@pytest.mark.parametrize("side", [100, 241])
def test_picture_and_map_have_the_size_that_was_asked_for(aspect: float, side: int) -> None:
    drawn = scene(replace(WORLD, aspect=aspect), seed=1)
    width, height = render.size(drawn, side)

    assert min(width, height) == side
    assert width / height == pytest.approx(aspect, rel=0.01)
    assert render.picture(drawn, side).shape == (height, width, 3)
    assert render.instances(drawn, side).shape == (height, width)


def test_a_picture_is_reproducible_noise_included() -> None:
    drawn = replace(scene(WORLD, seed=1), noise=8)
    first, second = render.picture(drawn, 120), render.picture(drawn, 120)

    assert (first == second).all()
    assert (first != render.picture(replace(drawn, noise=0), 120)).any()


def test_boxes_are_the_extents_of_the_masks_and_lie_within_a_pixel_of_the_outline() -> None:
    apart = replace(WORLD, touching=0.0)
    for drawn in scenes(apart, seed=2, count=30):
        boxes = render.boxes(seen(drawn, 200))
        outlines = np.array([thing.box for thing in drawn.things]) * 200
        for box, mask in zip(boxes, seen(drawn, 200), strict=True):
            rows, columns = np.nonzero(mask)
            assert box.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(boxes - outlines).max() <= 1.5  # a pointed corner may end between two pixels


def test_a_pixel_inside_a_mask_has_the_colour_of_its_thing() -> None:
    for drawn in scenes(replace(WORLD, noise=0), seed=3, count=20):
        picture = render.picture(drawn, 160)
        for thing, mask in zip(drawn.things, seen(drawn, 160), strict=True):
            inside = picture[grown(1 - mask) == 0]
            assert (inside == thing.rgb).all(axis=1).mean() > 0.95


def test_masks_never_share_a_pixel_and_each_thing_is_seen() -> None:
    for drawn in scenes(WORLD, seed=4, count=50):
        masks = seen(drawn, 160)
        assert masks.sum(axis=0).max() <= 1
        assert masks.sum(axis=(1, 2)).min() > 100


def test_some_scenes_have_things_that_touch_and_some_have_none() -> None:
    touching = [touch(drawn) for drawn in scenes(WORLD, seed=5, count=60)]
    assert 0.2 < np.mean(touching) < 0.8


def test_edges_are_smooth() -> None:
    drawn = replace(scene(WORLD, seed=6), noise=0)
    picture = render.picture(drawn, 160)
    pure = [thing.rgb for thing in drawn.things] + [drawn.background]
    mixed = ~np.any([(picture == colour).all(axis=2) for colour in pure], axis=0)
    assert 0.001 < mixed.mean() < 0.1
