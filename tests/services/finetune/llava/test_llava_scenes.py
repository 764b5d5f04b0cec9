"""New words take the place of old ones in a scene and in all that is said of it."""

import re
from random import Random

import pytest

from services.finetune.demo.dialogues import Turn, turn
from services.finetune.demo.facts import KINDS
from services.finetune.demo.pictures import draw
from services.finetune.demo.scenes import NEW_COLOURS, Scene
from services.finetune.llava.demo import WEIGHTS, WORLD
from services.finetune.llava.scenes import CONTRAST, NEW_SHAPES, Renamed, names_new, renamed


def old(number: int) -> Scene:
    return draw([WORLD], seed=11, index=number)


def new(number: int) -> Renamed:
    return renamed(old(number), Random(number))


@pytest.mark.parametrize("number", range(60))
def test_every_new_scene_shows_something_new_where_the_old_thing_was(number: int) -> None:
    before, after = old(number).things, new(number).scene.things
    assert any(thing.shape in NEW_SHAPES or thing.colour in NEW_COLOURS for thing in after)
    assert [(thing.x, thing.y, thing.radius) for thing in before] == [(t.x, t.y, t.radius) for t in after]


@pytest.mark.parametrize("number", range(60))
def test_everything_is_seen_on_its_background(number: int) -> None:
    scene = new(number).scene
    light = [thing for thing in scene.things if thing.colour == "white"]
    assert all(max(abs(a - b) for a, b in zip(t.rgb, scene.background, strict=True)) >= CONTRAST for t in light)


@pytest.mark.parametrize("number", range(60))
def test_what_is_counted_is_what_is_there(number: int) -> None:
    found, rng = new(number), Random(number)
    for _ in range(10):
        told = found.told(turn(old(number), {"count": 1.0}, rng))
        shape = next(s for s in (*NEW_SHAPES, *KNOWN) if re.search(rf"\b{s}", told.question.lower()))
        there = sum(thing.shape == shape for thing in found.scene.things)
        assert told.answer == ("None.", "One.", "Two.", "Three.", "Four.")[there]


KNOWN = ("circle", "square", "triangle", "star", "diamond", "hexagon", "cross", "heart")


def test_captions_list_the_new_things_by_name() -> None:
    for number in range(60):
        found = new(number)
        told = found.told(turn(old(number), {"caption": 1.0}, Random(number)))
        assert all(thing.colour in told.answer and thing.shape in told.answer for thing in found.scene.things)


def test_no_word_is_asked_of_by_its_old_name() -> None:
    for number in range(60):
        found, rng = new(number), Random(number)
        for _ in range(10):
            told = found.told(turn(old(number), WEIGHTS, rng))
            said = set(re.findall(r"[a-z]+", f"{told.question} {told.answer}".lower()))
            assert said.isdisjoint(found.words), told
            assert "an brown" not in told.question + told.answer


def test_new_words_are_known_in_every_form() -> None:
    assert names_new(Turn("count", "How many crescents are there?", "One."))
    assert names_new(Turn("colour", "What color is the star?", "White."))
    assert not names_new(Turn("colour", "What color is the star?", "Red."))
    assert set(WEIGHTS) == set(KINDS)
