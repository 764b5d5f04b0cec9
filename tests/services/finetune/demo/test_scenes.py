from dataclasses import replace

from services.finetune.demo.scenes import COLOURS, Scene, World, scene, scenes
from services.finetune.demo.shapes import SHAPES

HARD = World()


def sample(world: World, count: int = 150) -> list[Scene]:
    return list(scenes(world, seed=5, count=count))


def luminance(scene: Scene) -> float:
    return sum(scene.background) / 3


def test_a_scene_is_told_by_its_world_seed_and_index_alone() -> None:
    assert sample(HARD, 10) == sample(HARD, 10)
    assert sample(HARD, 10)[7] == scene(HARD, seed=5, index=7)
    assert scene(HARD, seed=6, index=7) != scene(HARD, seed=5, index=7)


def test_the_whole_range_occurs() -> None:
    drawn = sample(HARD)
    things = [thing for scene in drawn for thing in scene.things]

    assert {len(scene.things) for scene in drawn} == {1, 2, 3, 4, 5, 6}
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.shape for thing in things} == set(SHAPES)
    assert min(thing.radius for thing in things) < 0.08
    assert max(thing.radius for thing in things) > 0.21
    assert 0.3 < sum(luminance(scene) < 85 for scene in drawn) / len(drawn) < 0.7


def test_things_span_15_to_44_hundredths_of_the_shorter_side_and_lie_inside() -> None:
    for drawn in sample(replace(HARD, aspect=4 / 3)):
        for thing in drawn.things:
            x0, y0, x1, y1 = thing.box
            assert 0.15 * 0.7 < max(x1 - x0, y1 - y0) < 0.44 * 1.2
            assert x0 >= 0
            assert y0 >= 0
            assert x1 <= 4 / 3
            assert y1 <= 1


def test_a_tall_world_is_as_wide_as_one() -> None:
    assert replace(HARD, aspect=3 / 4).extent == (1.0, 4 / 3)
    assert replace(HARD, aspect=16 / 9).extent == (16 / 9, 1.0)


def test_excluded_pairs_never_occur_and_their_colours_and_shapes_still_do() -> None:
    exclude = frozenset(zip(COLOURS, SHAPES, strict=True))
    things = [thing for scene in sample(replace(HARD, exclude=exclude)) for thing in scene.things]

    assert not exclude & {(thing.colour, thing.shape) for thing in things}
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.shape for thing in things} == set(SHAPES)


def test_without_touching_the_boxes_lie_apart() -> None:
    for drawn in sample(replace(HARD, touching=0.0)):
        boxes = [thing.box for thing in drawn.things]
        for number, a in enumerate(boxes):
            for b in boxes[:number]:
                assert a[0] >= b[2] or b[0] >= a[2] or a[1] >= b[3] or b[1] >= a[3]


def test_a_light_world_has_no_dark_background() -> None:
    assert all(luminance(scene) > 90 for scene in sample(replace(HARD, dark=0.0)))
