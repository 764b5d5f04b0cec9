from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.finetune.demo.facts import CUTS, KINDS, MARGIN, Fact, fact, place
from services.finetune.demo.pictures import WHOLE, centred, draw
from services.finetune.demo.scenes import COLOURS, Scene, Thing
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import NUMBERS, listing

SEEDS = st.integers(0, 2**32)


def thing(colour: str, shape: str, x: float = 0.2, y: float = 0.2) -> Thing:
    return Thing(colour, shape, x, y, 0.1, 0.0, COLOURS[colour])


def scene(*things: Thing) -> Scene:
    return Scene(things, (1.0, 1.0), (200, 200, 200), 0, 0)


def all_of(kind: str, shown: Scene, tries: int = 200) -> set[Fact]:
    return {known for n in range(tries) if (known := fact(shown, kind, Random(n)))}


def fits(one: str, thing: Thing) -> bool:
    """Read the phrase again, by other code than that which wrote it."""
    words = set(one.split()) - {"shape", "object"}
    return words <= {thing.colour, thing.shape}


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(["count", "colour_count", "pair_count", "total"]))
def test_a_count_is_the_number_of_things_that_its_phrase_fits(seed: int, kind: str) -> None:
    shown = draw([WHOLE], seed=seed, index=0)
    known = fact(shown, kind, Random(seed))
    assert known is not None
    number = sum(fits(known.one, one) for one in shown.things)
    assert known.answer == f"{'None' if not number else NUMBERS[number].capitalize()}."


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(["pair", "single"]))
def test_yes_means_that_something_fits(seed: int, kind: str) -> None:
    shown = draw([WHOLE], seed=seed, index=0)
    known = fact(shown, kind, Random(seed))
    if known:
        assert known.answer == ("Yes." if any(fits(known.one, one) for one in shown.things) else "No.")


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from(["colour", "shape", "where", "where_one"]))
def test_what_is_asked_about_is_there_once_and_has_the_answer(seed: int, kind: str) -> None:
    shown = draw([WHOLE], seed=seed, index=0)
    known = fact(shown, kind, Random(seed))
    if known:
        (only,) = [one for one in shown.things if fits(known.one, one)]
        answers = {"colour": only.colour, "shape": f"a {only.shape}", "where": place(only, shown)}
        assert known.answer.lower() == f"{answers[known.form]}."


@settings(max_examples=200, deadline=None)
@given(SEEDS)
def test_what_is_absent_is_not_there(seed: int) -> None:
    shown = draw([WHOLE], seed=seed, index=0)
    known = fact(shown, "absent", Random(seed))
    if known:
        assert not any(fits(known.one, one) for one in shown.things)
        assert known.answer == f"There is no {known.one}."


def test_half_of_the_questions_about_pairs_are_hard_or_answered_with_yes() -> None:
    answers = Counter[tuple[str, bool]]()
    for seed in range(1000):
        shown = draw([replace(WHOLE, things=(2, 4))], seed=seed, index=0)
        known = fact(shown, "pair", Random(seed))
        if known:
            colour, shape = known.one.split()
            hard = any(t.colour == colour for t in shown.things) and any(t.shape == shape for t in shown.things)
            answers[known.answer, hard] += 1
    assert 0.45 < answers["Yes.", True] / answers.total() < 0.6
    assert answers["No.", True] > answers["No.", False]  # many scenes have no two things that could be mixed up


@pytest.mark.parametrize(
    ("x", "y", "told"),
    [
        (0.15, 0.15, "at the top left"),
        (0.5, 0.2, "at the top"),
        (0.85, 0.5, "at the right"),
        (0.5, 0.5, "in the center"),
        (0.8, 0.8, "at the bottom right"),
        (0.2, 0.5, "at the left"),
        (CUTS[0] + MARGIN / 2, 0.5, None),
        (0.5, CUTS[1] - MARGIN / 2, None),
    ],
)
def test_a_place_is_one_of_nine_unless_it_is_near_a_border(x: float, y: float, told: str | None) -> None:
    one = thing("red", "circle", x, y)
    assert centred(one, scene(one))[:2] == pytest.approx((x, y))
    assert place(one, scene(one)) == told


def test_nothing_is_asked_that_has_two_answers() -> None:
    twice = scene(thing("red", "circle"), thing("blue", "circle", 0.8), thing("red", "star", 0.8, 0.8))

    assert {known.one for known in all_of("colour", twice)} == {"star"}
    assert {known.one.split()[0] for known in all_of("shape", twice)} == {"blue"}
    assert {known.one for known in all_of("where", twice)} == {"red circle", "blue circle", "red star"}


def test_a_caption_names_all_things_in_the_order_of_their_names() -> None:
    shown = scene(thing("red", "star"), thing("blue", "circle", 0.8), thing("blue", "circle", 0.8, 0.8))
    known = fact(shown, "caption", Random(0))

    assert known and known.answer == f"The picture shows {listing(shown.things)}."
    assert known.answer == "The picture shows two blue circles and a red star."


def test_every_kind_is_found_in_some_scene() -> None:
    shown = scene(thing("red", "circle"), thing("blue", "star", 0.8))
    assert all(all_of(kind, shown) for kind in KINDS)
    assert all(known.kind == kind for kind in KINDS for known in all_of(kind, shown, 20))
    assert {known.one for known in all_of("count", shown, 500)} == set(SHAPES)
