import re
from random import Random

import pytest

from services.finetune.demo.facts import Fact
from services.finetune.demo.questions import FORMS, asked, asked_of, casual, filled, terse

COUNT = Fact("count", "count", "red circle", "Two.")


def every(fact: Fact, *, held_out: bool = False) -> set[str]:
    return {asked(fact, Random(n), held_out=held_out) for n in range(500)}


@pytest.mark.parametrize("form", FORMS)
def test_each_form_has_several_wordings_and_others_that_only_evaluations_use(form: str) -> None:
    trained, held_out = set(FORMS[form].trained), set(FORMS[form].held_out)
    assert len(trained) >= 5
    assert len(held_out) >= 2
    assert not trained & held_out


@pytest.mark.parametrize("form", FORMS)
def test_no_wording_of_a_training_becomes_one_that_only_evaluations_use(form: str) -> None:
    fact = Fact("", form, "" if form == "caption" else "red circle", "")
    normal = [{re.sub("[?.!]", "", q.lower()) for q in every(fact, held_out=held_out)} for held_out in (False, True)]
    assert not normal[0] & normal[1]


def test_the_thing_is_named_in_the_form_that_the_wording_asks_for() -> None:
    assert filled("How many {many} are there?", "orange cross") == "How many orange crosses are there?"
    assert filled("Is there {a}?", "orange cross") == "Is there an orange cross?"
    assert filled("Where is the {one}?", "orange cross") == "Where is the orange cross?"


def test_people_write_in_lower_case_without_marks_and_in_british_english() -> None:
    said = {casual("What color is the picture?", Random(n)) for n in range(500)}
    assert {"What color is the picture?", "what color is the picture?", "What color is the picture"} <= said
    assert {"What colour is the picture?", "What color is the image?", "what colour is the image"} <= said


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("ordinal", ["first", "second"])
def test_a_question_about_one_of_two_pictures_says_which(form: str, ordinal: str) -> None:
    fact = Fact("", form, "" if form == "caption" else "red circle", "")
    said = {asked_of(fact, ordinal, Random(n)).lower() for n in range(50)}
    assert all(f"the {ordinal} picture" in one or f"the {ordinal} image" in one for one in said)


def test_a_terse_question_has_few_words_and_the_same_answer() -> None:
    assert terse(COUNT) == (" red circles:", " Two")
    assert terse(COUNT._replace(form="whether", answer="Yes.")) == (" red circle?", " Yes")
    assert terse(COUNT._replace(form="caption", one=""))[0] == ""
