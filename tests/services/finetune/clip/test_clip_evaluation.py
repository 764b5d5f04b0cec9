"""The figures of an evaluation, held against counts by hand and against the service's own classification."""

import numpy as np
import pytest

from services.clip.classify import question
from services.clip.model import Clip, Item
from services.clip.schemas import ClassifyRequest
from services.finetune.clip.demo import write_set
from services.finetune.clip.evaluation import evaluate, recall, zero_shot
from services.finetune.clip.vectors import served, vectors
from services.finetune.data import formats
from services.finetune.data.examples import PairExample, only
from services.finetune.towers.demo import single
from tests.services.finetune.towers.pictures_of import base

PAIRS = (("red", "circle"), ("blue", "star"), ("brown", "crescent"))


@pytest.fixture(scope="module")
def model() -> Clip:
    return served(base("clip").path)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[PairExample]:
    folder = tmp_path_factory.mktemp("pairs")
    write_set(folder, single(PAIRS, seed=50, each=4))
    return only(PairExample, formats.read(folder, "clip").examples)


def test_what_is_known_is_told_rightly_class_by_class(model: Clip, examples: list[PairExample]) -> None:
    scores = evaluate(model, examples[:8]).scores
    assert scores["zero_shot"] == scores["zero_shot/red circle"] == scores["zero_shot/blue star"] == 1.0


def test_the_answers_are_those_of_the_service(model: Clip, examples: list[PairExample]) -> None:
    """The prompts and the scale are the ones of a request that says nothing but its labels."""
    names = sorted({example.label or "" for example in examples})
    asked = question(ClassifyRequest(labels=names), {})
    seen = vectors(model, [Item(data=example.picture.read()) for example in examples])
    said = vectors(model, [Item(prompt.text) for prompt in asked.prompts])
    logits = model.logit_scale * seen @ said.T
    told = zero_shot(model, seen, examples)
    assert told.names == names
    assert np.allclose(np.log(told.chances) - np.log(told.chances[:, :1]), logits - logits[:, :1], atol=1e-3)


def test_without_labels_the_texts_are_the_classes(model: Clip, examples: list[PairExample]) -> None:
    bare = [PairExample(one.picture, f"a {one.label}", None, one.place) for one in examples[:8]]
    assert evaluate(model, bare).scores["zero_shot/a blue star"] == 1.0


def test_examples_without_a_label_beside_others_count_for_recall_alone(
    model: Clip, examples: list[PairExample]
) -> None:
    odd = PairExample(examples[0].picture, "something else entirely", None, examples[0].place)
    scores = evaluate(model, [*examples[:8], odd]).scores
    assert scores["zero_shot"] == 1.0
    assert "zero_shot/something else entirely" not in scores


def test_pictures_of_one_text_are_all_right_answers_to_it(model: Clip) -> None:
    texts = ["a red circle", "a blue star", "a red circle"]
    said = vectors(model, [Item("a red circle"), Item("a blue star"), Item("a blue star")])
    scores = recall(model, said, texts)  # the third picture looks like a blue star
    assert scores["recall@1"] == pytest.approx(2 / 3)
    assert scores["text_recall@1"] == 1.0
    assert scores["recall@5"] == scores["text_recall@10"] == 1.0


def test_the_matrix_counts_what_was_taken_for_what(model: Clip, examples: list[PairExample]) -> None:
    matrix = evaluate(model, examples).confusion
    assert matrix is not None
    assert list(matrix.names) == ["blue star", "brown crescent", "red circle"]
    assert [sum(row) for row in matrix.counts] == [4, 4, 4]
    assert matrix.counts[0][0] == matrix.counts[2][2] == 4


def test_the_worst_pictures_come_first_with_truth_and_answer(model: Clip, examples: list[PairExample]) -> None:
    shown = evaluate(model, examples, shown=5).shown
    assert [one.error for one in shown] == sorted((one.error for one in shown), reverse=True)
    assert len(shown) == 5
    assert shown[0].truth == "brown crescent"
    assert max(shown[0].picture.size) <= 240
