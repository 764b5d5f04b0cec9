from dataclasses import replace

from services.finetune.demo.novel import CONTRAST, familiar, novel
from services.finetune.demo.scenes import COLOURS, NEW_COLOURS, Scene, World
from services.finetune.demo.shapes import NEW_OUTLINES, NEW_SHAPES, SHAPES

NOVEL_SCENES = [novel(seed=3, index=index) for index in range(150)]


def is_new(colour: str, shape: str) -> bool:
    return colour in NEW_COLOURS or shape in NEW_SHAPES


def contrasts(scene: Scene) -> list[int]:
    pairs = [zip(thing.rgb, scene.background, strict=True) for thing in scene.things]
    return [max(abs(a - b) for a, b in pair) for pair in pairs]


def test_most_things_are_new_and_all_old_ones_occur_beside_them() -> None:
    things = [thing for scene in NOVEL_SCENES for thing in scene.things]
    share = sum(is_new(thing.colour, thing.shape) for thing in things) / len(things)

    assert 0.5 < share < 0.75
    assert {thing.shape for thing in things} == {*SHAPES, *NEW_SHAPES}
    assert {thing.colour for thing in things} == {*COLOURS, *NEW_COLOURS}


def test_everything_is_seen_on_its_background() -> None:
    assert min(contrast for scene in NOVEL_SCENES for contrast in contrasts(scene)) >= CONTRAST


def test_familiar_scenes_have_nothing_new() -> None:
    things = [thing for index in range(50) for thing in familiar(seed=3, index=index).things]
    assert not any(is_new(thing.colour, thing.shape) for thing in things)


def test_what_the_shipped_recipes_draw_from_has_nothing_new_either() -> None:
    world = World()
    assert not set(world.shapes) & set(NEW_SHAPES)
    assert not set(world.colours) & set(NEW_COLOURS)


def test_a_scene_is_told_by_its_seed_and_index_alone() -> None:
    assert novel(seed=3, index=7) == NOVEL_SCENES[7]
    assert novel(seed=3, index=7, world=World()) != NOVEL_SCENES[7]
    assert replace(novel(seed=3, index=8), things=()) != replace(NOVEL_SCENES[7], things=())


def test_new_outlines_are_about_as_wide_as_the_old() -> None:
    for outline in NEW_OUTLINES.values():
        xs, ys = zip(*outline, strict=True)
        assert 1.3 < max(xs) - min(xs) < 2.3
        assert 1.4 < max(ys) - min(ys) < 2.3
