"""The demos' pictures: something new in each of the new ones, nothing new in the old, and every class as often."""

import io
from collections import Counter
from pathlib import Path

from PIL import Image

from services.finetune.clip import demo as clip_demo
from services.finetune.data import formats
from services.finetune.data.examples import DetectionExample, PairExample
from services.finetune.owlvit import demo as owlvit_demo
from services.finetune.towers.demo import NEW_PAIRS, OLD_PAIRS, SIDE, is_new, jpeg, name, new_scenes, old_scenes, single


def test_each_new_scene_shows_something_new_and_no_old_one_does() -> None:
    assert all(any(map(is_new, scene.things)) for scene in new_scenes((1, 3), seed=1, pictures=20))
    assert not any(is_new(thing) for scene in old_scenes((1, 6), seed=1, pictures=20) for thing in scene.things)


def test_every_pair_is_old_or_new_and_is_shown_alone_as_often_as_the_others() -> None:
    assert len({*OLD_PAIRS, *NEW_PAIRS}) == len(OLD_PAIRS) + len(NEW_PAIRS) == 100
    shown = Counter(name(scene.things[0]) for scene in single(NEW_PAIRS, seed=1, each=2))
    assert shown == {" ".join(pair): 2 for pair in NEW_PAIRS}


def test_pictures_are_jpeg_of_the_same_bytes_at_each_call() -> None:
    (scene,) = old_scenes((2, 2), seed=1, pictures=1)
    assert jpeg(scene) == jpeg(scene)
    assert min(Image.open(io.BytesIO(jpeg(scene))).size) == SIDE


def test_pairs_tell_what_is_shown_and_the_class_of_what_is_alone(tmp_path: Path) -> None:
    clip_demo.write_set(tmp_path, [*new_scenes((1, 1), seed=1, pictures=3), *new_scenes((2, 3), seed=1, pictures=3)])
    found = [one for one in formats.read(tmp_path, "clip").examples if isinstance(one, PairExample)]
    assert [one.label is None for one in found] == [False] * 3 + [True] * 3
    assert all(one.label in one.text for one in found if one.label)


def test_boxes_are_named_by_colour_and_shape(tmp_path: Path) -> None:
    scenes = new_scenes((2, 4), seed=1, pictures=4)
    owlvit_demo.write_set(tmp_path, scenes)
    found = [one for one in formats.read(tmp_path, "owlvit").examples if isinstance(one, DetectionExample)]
    assert [list(one.labels) for one in found] == [[name(thing) for thing in scene.things] for scene in scenes]
