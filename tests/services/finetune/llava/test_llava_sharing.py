"""Conversations that share a picture in one row are computed as if each stood alone."""

from pathlib import Path

import pytest
import torch

from services.finetune.data.examples import ChatExample
from services.finetune.llava import network
from services.finetune.llava.rows import ROOM, collate, rows
from services.finetune.llava.script import IGNORED, Scribe, Script
from services.llava.weights import State
from tests.services.finetune.llava import conversations


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> State:
    torch.set_num_threads(1)
    read = network.read(conversations.base(tmp_path_factory.mktemp("cache")).path)
    read.module.eval()
    return read


def scripts(state: State, examples: list[ChatExample]) -> list[Script]:
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    return [scribe.write(example) for example in examples]


@torch.inference_mode()
def losses(state: State, wanted: list[Script], *, alone: bool) -> list[float]:
    """The losses of all tokens that are learnt, sorted."""
    made = [row for script in wanted for row in rows([script])] if alone else rows(wanted)
    shown = network.pixels([picture for row in made for picture in row.pictures], state.pixels)
    batch = network.inputs(collate(made), shown)
    labels = batch.pop("labels")[:, 1:]
    logits = state.module(**batch).logits[:, :-1]
    told = labels != IGNORED
    return sorted(torch.nn.functional.cross_entropy(logits[told], labels[told], reduction="none").tolist())


def test_a_row_of_many_gives_the_losses_of_each_alone(state: State, tmp_path: Path) -> None:
    wanted = scripts(state, conversations.chats(tmp_path, pictures=3, each=4, new=False))
    wanted += scripts(state, [conversations.said("Hello!", answer="Hello!"), conversations.said("Hi", answer="Hi")])
    assert len(rows(wanted)) < len(wanted)
    assert losses(state, wanted, alone=False) == pytest.approx(losses(state, wanted, alone=True), abs=1e-4)


def test_rows_take_as_many_as_there_is_room_for(state: State, tmp_path: Path) -> None:
    wanted = scripts(state, conversations.chats(tmp_path, pictures=1, each=30, new=False))
    made = rows(wanted)
    assert len(made) > 1
    assert all(len(row.ids) <= 64 + 4 + ROOM for row in made)
    assert sum(max(row.owners) for row in made) == 30


def test_one_that_is_longer_than_the_room_has_a_row_of_its_own(state: State) -> None:
    long = conversations.said("Is there a circle? " * 60, answer="No.")
    made = rows(scripts(state, [conversations.said("Hi", answer="Hi"), long, conversations.said("Hi!", answer="Hi")]))
    assert [max(row.owners) for row in made] == [1, 1, 1]


def test_two_pictures_are_not_the_same_opening_as_one(state: State, tmp_path: Path) -> None:
    a, b = (conversations.chats(tmp_path, pictures=1, each=1, new=False, seed=n)[0].turns[0].parts[0] for n in (1, 2))
    examples = [conversations.said(*parts, "Which?", answer="Both.") for parts in ((a,), (a, b), (b,), (a, b))]
    assert [(len(row.pictures), max(row.owners)) for row in rows(scripts(state, examples))] == [(1, 1), (2, 2), (1, 1)]
