"""Labels of a request: what is one label, what is two, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.owlvit.labels import read_labels
from services.owlvit.phrases import check_template
from services.owlvit.queries import Label
from shared.errors import InvalidRequest

BAD: dict[str, tuple[list[object], str]] = {
    "no labels": ([], "labels"),
    "101 labels": ([f"q{n}" for n in range(101)], "labels"),
    "101 times the same": (["cat"] * 101, "labels"),
    "an empty label": (["cat", ""], "labels[1]"),
    "spaces alone": (["   "], "labels[0]"),
    "a line break alone": (["cat", "dog", "\n"], "labels[2]"),
    "65 characters": (["a" * 65], "labels[0]"),
    "64 spaces and a letter": ([" " * 64 + "a"], "labels[0]"),
    "a control character": (["ca\x07t"], "labels[0]"),
    "an escape": (["\x1b[31mcat"], "labels[0]"),
    "a delete": (["cat\x7f"], "labels[0]"),
    "a number": (["cat", 5], "labels[1]"),
    "null": ([None], "labels[0]"),
    "true": ([True], "labels[0]"),
    "a list": ([["cat"]], "labels[0]"),
    "an object without a label": ([{"threshold": 0.5}], "labels[0].label"),
    "an object with an empty label": ([{"label": ""}], "labels[0].label"),
    "an object with a number": ([{"label": 7}], "labels[0].label"),
    "an object with more": ([{"label": "cat", "colour": "red"}], "labels[0].colour"),
    "a threshold over 1": (["a", {"label": "cat", "threshold": 1.1}], "labels[1].threshold"),
    "a threshold under 0": ([{"label": "cat", "threshold": -0.1}], "labels[0].threshold"),
    "a threshold that is a string": ([{"label": "cat", "threshold": "0.5"}], "labels[0].threshold"),
    "a threshold that is no number": ([{"label": "cat", "threshold": float("nan")}], "labels[0].threshold"),
    "a threshold that is true": ([{"label": "cat", "threshold": True}], "labels[0].threshold"),
}


@pytest.mark.parametrize(("values", "param"), BAD.values(), ids=list(BAD))
def test_it_is_refused_by_name(values: list[object], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_labels(values)
    assert refused.value.param == param
    assert refused.value.message.endswith(".")


def test_strings_and_objects_mix() -> None:
    assert read_labels(["cat", {"label": "dog", "threshold": 0.3}, {"label": "owl"}]) == (
        Label("cat", 0, None),
        Label("dog", 1, 0.3),
        Label("owl", 2, None),
    )


def test_case_and_spaces_make_no_new_label_and_the_first_spelling_stays() -> None:
    labels = read_labels(["Red  Circle", " red circle ", "RED\tCIRCLE", "dog", {"label": "Dog", "threshold": 0.9}])
    assert labels == (Label("Red  Circle", 0), Label("dog", 3))


def test_a_hundred_labels_of_64_characters_are_read() -> None:
    assert len(read_labels([f"{n:064d}" for n in range(100)])) == 100


def test_accents_and_other_scripts_are_labels() -> None:
    assert [label.name for label in read_labels(["café", "猫", "🦉", "STRASSE", "straße"])] == [
        "café", "猫", "🦉", "STRASSE",
    ]  # fmt: skip


@given(st.lists(st.text(max_size=70), max_size=12))
def test_any_text_is_read_or_refused(values: list[str]) -> None:
    try:
        labels = read_labels(values)
    except InvalidRequest as error:
        assert str(error.param).startswith("labels")
    else:
        assert all(label.name == values[label.index] for label in labels)


@pytest.mark.parametrize("template", ["", "a photo", "{} and {}", "{label}", "{} {", "}{", "{0}", "{}}", "{{}}"])
def test_a_template_without_exactly_one_place_for_the_label_is_refused(template: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_template(template)
    assert refused.value.param == "template"
