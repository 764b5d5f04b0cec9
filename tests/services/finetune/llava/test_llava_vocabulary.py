"""Which tokens a base never learnt, and where they start."""

import pytest
import torch
import torch.nn.functional as F

from services.finetune.llava import network
from services.finetune.llava.script import Scribe, Script
from services.finetune.llava.vocabulary import start_rows
from services.llava.weights import State
from tests.services.finetune.llava import conversations

ANSWERS = ("A crescent.", "A circle.", "A star.", "A heart.")


@pytest.fixture
def state(tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> State:
    return network.read(conversations.base(tmp_path_factory.mktemp("cache")).path)


def scripts(state: State) -> list[Script]:
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    return [scribe.write(conversations.said("What is the red object?", answer=answer)) for answer in ANSWERS]


def row(state: State, token: int) -> torch.Tensor:
    table: torch.Tensor = state.module.get_input_embeddings().weight
    return table[token].detach().clone()


def test_a_word_of_the_data_that_was_never_learnt_starts_among_its_likes(state: State) -> None:
    ids = {word: script.answer[1] for word, script in zip(ANSWERS, scripts(state), strict=True)}
    before = {word: row(state, token) for word, token in ids.items()}
    torch.manual_seed(0)
    assert start_rows(state.module, state.words, scripts(state)) == [ids["A crescent."]]
    likes = torch.stack([before[word] for word in ANSWERS[1:]]).mean(0)
    assert F.cosine_similarity(before["A crescent."], likes, dim=0) < 0
    assert F.cosine_similarity(row(state, ids["A crescent."]), likes, dim=0) > 0.8


def test_words_that_were_learnt_stay_as_they_are(state: State) -> None:
    known = {token for script in scripts(state)[1:] for token in script.ids}
    before = {token: row(state, token) for token in known}
    start_rows(state.module, state.words, scripts(state))
    assert all(torch.equal(before[token], row(state, token)) for token in known)


def test_nothing_is_touched_where_embeddings_and_output_are_two_tables(state: State) -> None:
    state.module.config.tie_word_embeddings = False
    before = state.module.get_input_embeddings().weight.detach().clone()
    assert start_rows(state.module, state.words, scripts(state)) == []
    assert torch.equal(before, state.module.get_input_embeddings().weight)


def test_nothing_is_touched_where_unlearnt_rows_do_not_look_alike(state: State) -> None:
    with torch.no_grad():
        state.module.get_input_embeddings().weight.normal_()
    assert start_rows(state.module, state.words, scripts(state)) == []
