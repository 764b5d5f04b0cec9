"""Label sets: the shipped ones are whole, an operator's file comes on top, and a bad file is refused with its place."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.clip.classify import question
from services.clip.labelsets import InvalidLabelSets, is_template, read_label_sets
from services.clip.schemas import ClassifyRequest
from services.finetune.demo.tokenizer import build


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_there_is_a_set_for_each_use_of_the_field() -> None:
    sets = read_label_sets(None)
    assert list(sets) == ["shapes", "tags", "scenes", "moderation"]
    assert all(one.description.endswith(".") for one in sets.values())
    assert {one.activation for one in (sets["shapes"], sets["scenes"])} == {"softmax"}


def test_every_label_of_moderation_has_a_threshold() -> None:
    moderation = read_label_sets(None)["moderation"]
    assert moderation.activation == "sigmoid"
    assert all(label.threshold is not None and 0.5 < label.threshold < 1 for label in moderation.labels)


def test_an_own_file_adds_sets_and_replaces_those_of_the_same_name(tmp_path: Path) -> None:
    own = {"fruit": {"labels": ["apple", "pear"]}, "shapes": {"labels": [{"label": "ring", "words": "a ring"}]}}
    sets = read_label_sets(write(tmp_path / "own.json", own))
    assert list(sets) == ["shapes", "tags", "scenes", "moderation", "fruit"]
    assert [label.words for label in sets["shapes"].labels] == ["a ring"]
    assert (sets["fruit"].templates, sets["fruit"].activation) == (("a photo of {}",), "softmax")


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("{", "the file"),
        ([], "the file"),
        ({"fruit": {}}, "fruit.labels"),
        ({"fruit": {"labels": []}}, "fruit.labels"),
        ({"fruit": {"labels": ["apple", "apple"]}}, "twice"),
        ({"fruit": {"labels": [" "]}}, "fruit.labels.0.label"),
        ({"fruit": {"labels": ["a" * 65]}}, "fruit.labels.0.label"),
        ({"fruit": {"labels": [str(n) for n in range(101)]}}, "fruit.labels"),
        ({"fruit": {"labels": [{"label": "apple", "threshold": 1.5}]}}, "threshold"),
        ({"fruit": {"labels": [{"label": "apple", "treshold": 0.5}]}}, "treshold"),
        ({"fruit": {"labels": ["apple"], "templates": ["no place"]}}, "exactly one {}"),
        ({"fruit": {"labels": ["apple"], "activation": "tanh"}}, "fruit.activation"),
        ({"No Name": {"labels": ["apple"]}}, "No Name"),
    ],
)
def test_a_bad_file_is_refused_with_the_place(tmp_path: Path, content: Any, place: str) -> None:
    path = write(tmp_path / "own.json", content)
    with pytest.raises(InvalidLabelSets) as refused:
        read_label_sets(path)
    assert str(path) in str(refused.value) and place in str(refused.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidLabelSets, match="cannot be read: No such file"):
        read_label_sets(tmp_path / "none.json")


def test_the_shipped_demo_model_which_reads_32_tokens_can_be_asked_all_of_them() -> None:
    tokenizer, sets = build(32), read_label_sets(None)
    for name in sets:
        asked = question(ClassifyRequest(label_set=name, activation="sigmoid"), sets)
        assert max(len(tokenizer(prompt.text).input_ids) for prompt in asked.prompts) <= 32


@pytest.mark.parametrize("text", ["", "a photo", "{} and {}", "{0}", "{}}", "{{}}", "{label}"])
def test_a_template_has_exactly_one_place(text: str) -> None:
    assert is_template("a photo of {}.") and not is_template(text)
