"""What one step of CLIP learns from: rows, batches, and the loss."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from services.clip import weights
from services.clip.weights import State
from services.finetune.clip.contrast import KEEP, Contrast, Row, Rows, filled, same
from services.finetune.data.examples import PairExample, Place, Source
from services.finetune.towers.memory import Memory
from services.finetune.training.mixture import Luck
from tests.services.clip.clip_versions import picture
from tests.services.finetune.towers.pictures_of import base


@pytest.fixture(scope="module")
def state() -> State:
    return weights.read(base("clip").path, torch.float32)


@pytest.fixture
def pairs(tmp_path: Path) -> list[PairExample]:
    told = [("a red circle", None), ("a red circle", None), ("this is a red circle", "red"), ("a star", "red")]
    found = []
    for number, (text, label) in enumerate(told):
        (tmp_path / f"{number}.png").write_bytes(picture(number))
        found.append(PairExample(Source(tmp_path / f"{number}.png"), text, label, Place(tmp_path, f"line {number}")))
    return found


def rows(state: State, pairs: list[PairExample], known: int = 0) -> tuple[Rows, list[Row]]:
    made = Rows(state, pairs[len(pairs) - known :])
    return made, [made.row(pair, Luck(1)) for pair in pairs]


def test_equal_texts_and_equal_classes_are_right_answers_to_each_other(state: State, pairs: list[PairExample]) -> None:
    made, each = rows(state, pairs)
    names = made.batch(each)["names"]
    assert same(names, names).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


def test_a_text_that_is_too_long_is_cut_before_its_end_mark(state: State, pairs: list[PairExample]) -> None:
    long = replace(pairs[0], text="a red circle " * 40)
    (row,) = rows(state, [long])[1]
    assert len(row.ids) == state.context
    assert row.ids[-1] == state.tokenizer.ids("a")[-1]


def test_shorter_texts_are_filled_up_as_in_serving() -> None:
    assert filled([(7, 1, 2, 9), (7, 9)]).tolist() == [[7, 1, 2, 9], [7, 9, 9, 9]]


def test_only_replay_is_held_to_the_base(state: State, pairs: list[PairExample]) -> None:
    made, each = rows(state, pairs, known=2)
    batch = made.batch(each)
    assert batch["known"].tolist() == [False, False, True, True]
    network = state.module.eval()
    loss = Contrast(network, Memory(network))
    assert loss(**batch)["loss"] == pytest.approx(loss(**batch | {"known": torch.zeros(4, dtype=torch.bool)})["loss"])


def test_a_network_that_moved_away_from_the_base_pays_for_it(state: State, pairs: list[PairExample]) -> None:
    made, each = rows(state, pairs, known=4)
    batch, network = made.batch(each), weights.read(base("clip").path, torch.float32).module.eval()
    loss = Contrast(network, Memory(network))
    with torch.no_grad():
        for part in ("visual_projection", "text_projection"):
            network.get_parameter(f"{part}.weight").neg_()  # both turn: the contrast stays as it is
        moved, free = loss(**batch)["loss"], loss(**batch | {"known": torch.zeros(4, dtype=torch.bool)})["loss"]
    assert moved - free == pytest.approx(KEEP * 4, rel=1e-3)


def test_checkpoints_hold_the_network_and_no_memory(state: State) -> None:
    names = Contrast(state.module, Memory(state.module)).state_dict()
    assert names.keys() == {f"network.{name}" for name in state.module.state_dict()}
