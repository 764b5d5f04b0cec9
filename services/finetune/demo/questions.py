"""How facts of shapes world are asked for: several wordings for each form, of which some are only used to evaluate.

Fact -> question. `{a}` is "a red circle", `{one}` "red circle", `{many}` "red circles". People also write in lower case
and without the mark at the end, say "image" for "picture", and "colour" for "color".
"""

from collections.abc import Mapping
from random import Random
from typing import NamedTuple

from services.finetune.demo.facts import Fact
from services.finetune.demo.words import article, plural

CASUAL = 0.15  # shares of questions: in lower case; without the mark at the end


class Wordings(NamedTuple):
    """The ways to ask one form of question."""

    trained: tuple[str, ...]
    held_out: tuple[str, ...]
    terse: str  # the fewest words that still ask it


FORMS: Mapping[str, Wordings] = {
    "count": Wordings(
        (
            "How many {many} are there?",
            "How many {many} do you see?",
            "Count the {many}.",
            "How many {many} are in the picture?",
            "How many {many} does the picture show?",
            "What is the number of {many}?",
        ),
        ("How many {many} can you see?", "Count the {many} in the picture."),
        " {many}:",
    ),
    "colour": Wordings(
        (
            "What color is the {one}?",
            "What is the color of the {one}?",
            "Which color does the {one} have?",
            "What color is the {one} in the picture?",
            "Tell me the color of the {one}.",
        ),
        ("Which color is the {one}?", "What color does the {one} have?"),
        " color of the {one}:",
    ),
    "shape": Wordings(
        (
            "What is the {one}?",
            "What shape is the {one}?",
            "Which shape does the {one} have?",
            "What shape is the {one} in the picture?",
            "Tell me the shape of the {one}.",
        ),
        ("Which shape is the {one}?", "What shape does the {one} have?"),
        " shape of the {one}:",
    ),
    "whether": Wordings(
        (
            "Is there {a}?",
            "Do you see {a}?",
            "Can you see {a}?",
            "Is there {a} in the picture?",
            "Does the picture show {a}?",
            "Are there any {many}?",
        ),
        ("Do you see {a} in the picture?", "Can you see any {many}?"),
        " {one}?",
    ),
    "where": Wordings(
        (
            "Where is the {one}?",
            "Where do you see the {one}?",
            "Where is the {one} in the picture?",
            "Tell me where the {one} is.",
            "In which part of the picture is the {one}?",
        ),
        ("Where can you see the {one}?", "Where in the picture is the {one}?"),
        " where is the {one}:",
    ),
    "caption": Wordings(
        (
            "Describe the picture.",
            "What is in the picture?",
            "What does the picture show?",
            "What do you see?",
            "Tell me what you see.",
        ),
        ("What do you see in the picture?", "What can you see?"),
        "",
    ),
}
# Of two pictures: `asked_of` takes the wordings that name the picture, and says which.
ORDINALS = ("first", "second")
WHICH = ("Which picture shows {a}?", "Which picture has {a}?", "In which picture is there {a}?")


def asked(fact: Fact, rng: Random, *, held_out: bool = False) -> str:
    """A question for `fact`, in a wording of the trainings or in one that only evaluations use."""
    form = FORMS[fact.form]
    return casual(filled(rng.choice(form.held_out if held_out else form.trained), fact.one), rng)


def asked_of(fact: Fact, ordinal: str, rng: Random) -> str:
    """A question for a `fact` of one of several pictures, the `first` or the `second`."""
    wording = rng.choice([wording for wording in FORMS[fact.form].trained if "the picture" in wording])
    return casual(filled(wording.replace("the picture", f"the {ordinal} picture"), fact.one), rng)


def terse(fact: Fact) -> tuple[str, str]:
    """Question and answer in the fewest tokens, or an empty question where there is no such form."""
    return filled(FORMS[fact.form].terse, fact.one), " " + fact.answer.removesuffix(".")


def filled(wording: str, one: str) -> str:
    """The wording with the thing's name in it."""
    return wording.format(one=one, many=plural(one), a=article(one)) if one else wording


def casual(question: str, rng: Random) -> str:
    """The question as people may type it."""
    if rng.random() < 0.3:
        question = question.replace("picture", "image")
    if rng.random() < 0.3:
        question = question.replace("color", "colour")
    if rng.random() < CASUAL:
        question = question.lower()
    if rng.random() < CASUAL:
        question = question.rstrip("?.!")
    return question
