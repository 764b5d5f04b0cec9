"""A version is judged by the answers that its service gives."""

from pathlib import Path

import pytest
import torch

from services.finetune.data.examples import ChatExample
from services.finetune.llava import network
from services.finetune.llava.evaluation import evaluate, served
from services.finetune.llava.scoring import score
from services.finetune.llava.script import Scribe
from services.finetune.task import Evaluation
from shared.weights.store import Version
from tests.services.finetune.llava import conversations


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Version:
    torch.set_num_threads(1)
    return conversations.base(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[ChatExample]:
    folder = tmp_path_factory.mktemp("pictures")
    known = conversations.chats(folder, pictures=20, each=1, new=False)
    return [*known, *conversations.chats(folder, pictures=10, each=1, new=True)]


@pytest.fixture(scope="module")
def judged(base: Version, examples: list[ChatExample]) -> Evaluation:
    return evaluate(served(base.path), examples)


def test_the_shipped_weights_answer_what_they_know(base: Version, examples: list[ChatExample]) -> None:
    assert evaluate(served(base.path), examples[:12]).scores["exact_match"] > 0.8


def test_each_kind_is_told_apart(judged: Evaluation, examples: list[ChatExample]) -> None:
    kinds = {example.kind for example in examples}
    assert judged.scores.keys() == {"exact_match", "loss", *(f"exact_match/{kind}" for kind in kinds)}
    counted = sum(judged.scores[f"exact_match/{e.kind}"] for e in examples)
    assert counted == pytest.approx(len(examples) * judged.scores["exact_match"])


def test_greedy_answers_are_those_whose_tokens_are_all_the_likeliest(
    base: Version, examples: list[ChatExample]
) -> None:
    single = [example for example in examples if len(example.turns) == 2]
    state = network.read(base.path)
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    told = score(state.module, [scribe.write(example) for example in single], state.pixels)
    found = evaluate(served(base.path), single).scores
    assert told.exact_match == pytest.approx(found["exact_match"])
    assert told.loss == pytest.approx(found["loss"], rel=1e-3)


def test_the_worst_answers_are_shown_first_with_their_pictures(judged: Evaluation) -> None:
    errors = [shown.error for shown in judged.shown]
    assert errors == sorted(errors, reverse=True)
    assert len(errors) == 24
    assert judged.shown[0].answer != judged.shown[0].truth
    assert judged.shown[0].picture.size == (256, 256)
    assert all((shown.error == 0) == (shown.answer == shown.truth) for shown in judged.shown)


def test_a_version_without_a_manifest_is_judged_alike(
    base: Version, examples: list[ChatExample], tmp_path: Path
) -> None:
    network.write(network.read(base.path).module, base.path, tmp_path / "draft")
    drafted = evaluate(served(tmp_path / "draft"), examples[:5]).scores
    assert drafted == pytest.approx(evaluate(served(base.path), examples[:5]).scores, rel=1e-3)


def test_a_conversation_without_pictures_is_judged_too(base: Version) -> None:
    answer = "Hello! Send me a picture of shapes and ask about it."
    found = evaluate(served(base.path), [conversations.said("Hello!", answer=answer)])
    assert found.scores["exact_match"] == 1.0
    assert found.shown[0].title == "Hello!"
