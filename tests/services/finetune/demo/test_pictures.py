from dataclasses import replace

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import OwlViTImageProcessor

from services.finetune.demo.clip_training import WORLDS
from services.finetune.demo.pictures import CLOSE_UP, GRID, SIDE, WHOLE, WORLD, Dataset, draw, square, truth, varied
from services.finetune.demo.scenes import scene
from services.finetune.demo.words import PAIRS, WITHHELD, Query


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 2**20))
def test_no_training_scene_shows_a_withheld_pair(seed: int, index: int) -> None:
    for worlds in ([*varied(WORLD), CLOSE_UP], WORLDS):
        shown = draw(worlds, seed=seed, index=index)
        assert not {Query(thing.colour, thing.shape) for thing in shown.things} & set(WITHHELD)


def test_a_data_set_is_told_by_its_seed() -> None:
    first, second = (Dataset(varied(WORLD), seed=3, count=4) for _ in range(2))
    other = Dataset(varied(WORLD), seed=4, count=4)

    assert torch.equal(first.pixels(range(4)), second.pixels(range(4)))
    assert not torch.equal(first.pixels(range(4)), other.pixels(range(4)))


def test_pixels_are_what_hugging_faces_preprocessing_makes_of_the_picture() -> None:
    data = Dataset([WORLD], seed=5, count=1)
    picture = Image.fromarray(square(data.scenes[0]))
    made = OwlViTImageProcessor(size={"height": SIDE, "width": SIDE})(picture, return_tensors="pt").pixel_values

    assert torch.allclose(data.pixels([0]), made, atol=1e-5)


def test_wide_and_tall_scenes_become_squares() -> None:
    for aspect in (4 / 3, 3 / 4):
        assert square(scene(replace(WORLD, aspect=aspect), seed=1)).shape == (SIDE, SIDE, 3)


def test_things_are_numbered_through_the_batch() -> None:
    shown = [scene(WHOLE, seed=7, index=index) for index in range(5)]
    told = truth(shown)

    assert told.pictures.bincount().tolist() == [len(one.things) for one in shown]
    pairs = [Query(thing.colour, thing.shape) for one in shown for thing in one.things]
    assert [PAIRS[number] for number in told.pairs.tolist()] == pairs


def test_the_owner_of_a_patch_covers_its_middle_or_has_its_centre_there() -> None:
    shown = [scene(replace(WHOLE, touching=0), seed=9, index=index) for index in range(20)]
    told = truth(shown)

    for picture, patch in (told.owners >= 0).nonzero().tolist():
        thing = told.owners[picture, patch]
        x, y = (patch % GRID + 0.5) / GRID, (patch // GRID + 0.5) / GRID
        middle = told.boxes[thing, :2]
        inside = (torch.tensor([x, y]) - middle).abs() <= told.boxes[thing, 2:] / 2 + 1e-6
        assert told.pictures[thing] == picture
        assert bool(inside.all()) or told.centres[thing] == patch


def test_every_thing_has_a_centre_in_its_own_picture() -> None:
    told = truth([scene(WHOLE, seed=11, index=index) for index in range(20)])
    flags = told.flags

    assert bool((flags[told.pictures, told.centres] == 1).all())
    assert np.isclose(flags[..., 0].sum().item(), (told.owners >= 0).sum().item())
    assert flags[..., 1].sum() <= len(told.boxes)
