"""Zero-shot classification without a model: prompts, ensembling, scores and flags, on vectors of known answers."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.clip.classify import Question, classes, question, rank, scores, unit
from services.clip.labelsets import read_label_sets
from services.clip.schemas import ClassifyRequest
from shared.errors import InvalidRequest

SETS = read_label_sets(None)


def asked(**wish: Any) -> Question:
    return question(ClassifyRequest.model_validate(wish), SETS)


def vectors(*rows: list[float]) -> NDArray[np.float32]:
    return unit(np.array(rows, dtype=np.float32))


def texts(one: Question) -> list[str]:
    return [prompt.text for prompt in one.prompts]


def test_every_label_goes_into_every_template_label_by_label() -> None:
    one = asked(labels=["cat", "dog"], templates=["a {}", "the {} there"])
    assert texts(one) == ["a cat", "the cat there", "a dog", "the dog there"]
    assert [prompt.field for prompt in one.prompts] == ["labels[0]", "labels[0]", "labels[1]", "labels[1]"]


def test_a_label_with_braces_is_only_text() -> None:
    assert texts(asked(labels=["{}", "{0.__class__}"])) == ["a photo of {}", "a photo of {0.__class__}"]


def test_the_background_is_asked_only_where_it_counts() -> None:
    assert texts(asked(labels=["cat"], background=["a wall"])) == ["a photo of cat"]
    sigmoid = asked(labels=["cat"], background=["a wall"], activation="sigmoid")
    assert texts(sigmoid) == ["a photo of cat", "a photo of a wall"]


def test_hugging_face_names_and_comma_separated_labels_are_understood() -> None:
    one = asked(candidate_labels="cat, dog", hypothesis_template="a, {}", function_to_apply="sigmoid")
    assert (one.labels, one.templates, one.activation) == (("cat", "dog"), ("a, {}",), "sigmoid")


def test_a_named_set_brings_its_words_templates_and_thresholds_which_the_request_may_override() -> None:
    own = asked(label_set="moderation")
    assert own.labels[0] == "nudity" and own.words[0] == ("a naked person", "label_set")
    assert own.thresholds[0] == 0.7 and own.activation == "sigmoid" and len(own.templates) == 3
    other = asked(label_set="moderation", threshold=0.9, activation="softmax", templates=["{}"])
    assert (set(other.thresholds), other.activation, other.templates) == ({0.9}, "softmax", ("{}",))


@pytest.mark.parametrize(
    ("wish", "param"),
    [
        ({}, "labels"),
        ({"labels": ["cat"], "label_set": "shapes"}, "label_set"),
        ({"label_set": "none"}, "label_set"),
        ({"labels": ["cat", " "]}, "labels[1]"),
        ({"labels": ["cat", "dog", "cat"]}, "labels[2]"),
        ({"labels": ["cat"], "templates": ["{}", "a photo"]}, "templates[1]"),
        ({"labels": ["cat"], "templates": "{} {}"}, "templates[0]"),
    ],
)
def test_a_question_without_sense_is_refused_with_its_field(wish: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked(**wish)
    assert refused.value.param == param


def test_templates_are_averaged_and_the_mean_has_length_one() -> None:
    found = classes(vectors([1, 0], [0, 1], [1, 0], [1, 0]), 2)
    assert np.allclose(found, [[0.5**0.5, 0.5**0.5], [1, 0]])


def test_softmax_scores_are_those_of_the_formula() -> None:
    one = asked(labels=["cat", "dog"])
    (row,) = scores(vectors([1, 0]), vectors([1, 0], [0, 1]), one, scale=2.0)
    assert row == pytest.approx([np.e**2 / (np.e**2 + 1), 1 / (np.e**2 + 1)])


def test_a_sigmoid_score_is_a_half_where_label_and_background_are_equally_near() -> None:
    one = asked(labels=["cat", "dog", "bird"], activation="sigmoid")
    (row,) = scores(vectors([1, 1]), vectors([1, 1], [1, 0], [-1, -1], [0, 1]), one, scale=100.0)
    assert row[0] > 0.99 and row[1] == pytest.approx(0.5, abs=1e-4) and row[2] < 0.01


def test_a_sigmoid_score_does_not_depend_on_the_other_labels() -> None:
    alone = scores(vectors([3, 1]), vectors([1, 0], [0, 1]), asked(labels=["a"], activation="sigmoid"), scale=5.0)
    both = scores(
        vectors([3, 1]), vectors([1, 0], [1, 1], [0, 1]), asked(labels=["a", "b"], activation="sigmoid"), scale=5.0
    )
    assert alone[0, 0] == pytest.approx(both[0, 0])


@given(seed=st.integers(0, 2**32 - 1), labels=st.integers(1, 20), scale=st.floats(0.01, 1e4))
def test_scores_are_chances_whatever_the_vectors(seed: int, labels: int, scale: float) -> None:
    rows = unit(np.random.default_rng(seed).normal(size=(labels + 4, 8)).astype(np.float32))
    names = [f"label {n}" for n in range(labels)]
    softmax = scores(rows[:3], rows[3:-1], asked(labels=names), scale=scale)
    sigmoid = scores(rows[:3], rows[3:], asked(labels=names, activation="sigmoid"), scale=scale)
    assert softmax.shape == sigmoid.shape == (3, labels)
    assert np.allclose(softmax.sum(axis=1), 1)
    assert np.all((sigmoid >= 0) & (sigmoid <= 1))


def test_labels_come_best_first_and_a_flag_beyond_top_k_still_counts_for_the_picture() -> None:
    one = asked(label_set="moderation", activation="softmax")
    row = [0.0] * len(one.labels)
    row[one.labels.index("smoking")], row[one.labels.index("nudity")] = 0.79, 0.7
    found = rank(row, one, index=3, top_k=1)
    assert [(label.label, label.flagged) for label in found.labels] == [("smoking", False)]
    assert (found.index, found.flagged) == (3, True)


def test_nothing_is_flagged_where_no_label_has_a_threshold() -> None:
    found = rank([0.9, 0.1], asked(labels=["cat", "dog"]), index=0, top_k=None)
    assert found.flagged is None and [label.flagged for label in found.labels] == [None, None]
