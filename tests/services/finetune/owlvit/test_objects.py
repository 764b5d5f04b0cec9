"""Examples of boxes as batches: one list of queries for all pictures, boxes in 0-1 of the input."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode

from services.finetune.data.examples import DetectionExample, Place, Source
from services.finetune.errors import DataError
from services.finetune.owlvit import objects
from services.finetune.owlvit.objects import Objects
from services.finetune.training.mixture import Luck
from services.owlvit import weights
from services.owlvit.weights import State
from tests.services.clip.clip_versions import picture
from tests.services.finetune.towers.pictures_of import base


@pytest.fixture(scope="module")
def state() -> State:
    return weights.read(base("owlvit").path)


def example(folder: Path, number: int, *labels: str) -> DetectionExample:
    """A picture of 80 x 40 with a box for each label."""
    (folder / f"{number}.png").write_bytes(picture(number, 80, 40))
    boxes = tuple((20.0 * at, 10.0, 20.0 * at + 20, 30.0) for at in range(len(labels)))
    place = Place(folder / "annotations.json", f"images[{number}]")
    return DetectionExample(Source(folder / f"{number}.png"), (80, 40), boxes, labels, None, place)


def batch(made: Objects, *examples: DetectionExample, step: int = 1) -> dict[str, Any]:
    luck = Luck(1)
    luck.step = f"step {step}"
    return made.batch([made.row(one, luck) for one in examples])


def test_all_names_of_the_data_are_asked_of_every_picture(tmp_path: Path, state: State) -> None:
    new, old = example(tmp_path, 1, "arrow", "star", "arrow"), example(tmp_path, 2, "circle", "star")
    made = Objects(state, [new], [old])
    found = batch(made, new, old)
    assert len(found["ids"]) == 3
    numbers = found["objects"]["labels"].tolist()
    assert numbers[0] == numbers[2]
    assert numbers[1] == numbers[4]
    assert found["objects"]["pictures"].tolist() == [0, 0, 0, 1, 1]
    assert found["known"].tolist() == [False, True]


def test_only_names_of_replay_are_known(tmp_path: Path, state: State) -> None:
    new, old = example(tmp_path, 1, "arrow"), example(tmp_path, 2, "circle")
    assert sorted(batch(Objects(state, [new], [old]), new, old)["known_queries"].tolist()) == [False, True]


def test_of_many_names_those_that_are_there_are_asked_and_some_others(
    tmp_path: Path, state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "QUERIES", 4)
    one, other = example(tmp_path, 1, "red star"), example(tmp_path, 2, *(f"{c} circle" for c in "abcd"))
    made = Objects(state, [one, other], [])
    assert len(batch(made, one)["ids"]) == 4
    assert len(batch(made, one, other)["ids"]) == 5


def test_boxes_are_centre_and_size_in_parts_of_the_input(tmp_path: Path, state: State) -> None:
    one = example(tmp_path, 1, "star", "arrow")
    assert batch(Objects(state, [one], []), one)["objects"]["boxes"].tolist() == [
        [0.125, 0.5, 0.25, 0.5],
        [0.375, 0.5, 0.25, 0.5],
    ]


def test_where_pictures_are_filled_up_to_a_square_boxes_are_parts_of_it(tmp_path: Path, state: State) -> None:
    pixels = replace(state.pixels, square=True, crop=None, interpolation=InterpolationMode.BILINEAR)
    filling = replace(state, pixels=pixels)
    one = example(tmp_path, 1, "star")
    assert Objects(filling, [one], []).row(one, Luck(1)).boxes.tolist() == [[0.125, 0.25, 0.25, 0.25]]


def test_a_picture_without_objects_is_an_example_as_well(tmp_path: Path, state: State) -> None:
    one, empty = example(tmp_path, 1, "star"), example(tmp_path, 2)
    found = batch(Objects(state, [one, empty], []), empty)
    assert found["objects"]["boxes"].shape == (0, 4)
    assert len(found["ids"]) == 1


def test_the_batches_of_one_step_ask_alike_and_those_of_another_do_not(tmp_path: Path, state: State) -> None:
    one, other = example(tmp_path, 1, "star", "circle"), example(tmp_path, 2, "arrow")
    made = Objects(state, [one, other], [])
    assert torch.equal(batch(made, one, step=3)["ids"], batch(made, other, step=3)["ids"])
    assert len({tuple(batch(made, one, step=step)["ids"].flatten().tolist()) for step in range(9)}) > 1


def test_a_name_that_serving_would_refuse_is_told(tmp_path: Path, state: State) -> None:
    one = example(tmp_path, 1, "very " * 12 + "long")
    with pytest.raises(DataError, match=r"very .* is too long for this model.* Find a shorter one"):
        Objects(state, [one], [])
