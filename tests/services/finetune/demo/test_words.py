import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from services.finetune.demo.pictures import WORLD
from services.finetune.demo.scenes import COLOURS, scene
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import (
    PAIRS,
    QUERIES,
    SEEN,
    TEXT_COLOURS,
    TEXT_SHAPES,
    WITHHELD,
    Query,
    article,
    caption,
    listing,
    plural,
    prompt,
    text_only,
    wording,
)

NAMES = "|".join(f"{pair.colour} ({pair.shape}|{plural(str(pair.shape))})" for pair in WITHHELD)
FORBIDDEN = re.compile(rf"\b({NAMES})\b")


def test_each_colour_and_each_shape_is_withheld_once() -> None:
    assert sorted(pair.names[0] for pair in WITHHELD) == sorted(COLOURS)
    assert sorted(pair.names[1] for pair in WITHHELD) == sorted(SHAPES)
    assert len(SEEN) == 56
    assert set(SEEN) | set(WITHHELD) == set(PAIRS)


@given(st.integers(0, 2**32))
def test_no_wording_and_no_caption_names_a_withheld_pair(seed: int) -> None:
    rng = Random(seed)
    asked = [*rng.sample(QUERIES, 8), *text_only(8, rng)]
    said = [*(wording(query, rng) for query in asked), caption(scene(WORLD, seed=seed).things, rng)]

    assert not [text for text in said if FORBIDDEN.search(text)]


def test_the_search_for_withheld_pairs_finds_them() -> None:
    assert all(FORBIDDEN.search(prompt(pair)) for pair in WITHHELD)
    assert not any(FORBIDDEN.search(prompt(pair)) for pair in SEEN)


def test_a_text_only_query_always_has_a_word_that_is_never_drawn() -> None:
    drawn = {*COLOURS, *SHAPES}
    for query in text_only(200, Random(1)):
        assert set(query.words) - drawn
        assert set(query.words) <= drawn | set(TEXT_COLOURS) | set(TEXT_SHAPES)


def test_a_query_fits_what_it_names() -> None:
    red_circle = Query("red", "circle")

    assert red_circle.fits(red_circle)
    assert Query(None, "circle").fits(red_circle)
    assert Query("red", None).fits(red_circle)
    assert not Query("blue", None).fits(red_circle)
    assert not Query("blue", "circle").fits(red_circle)


def test_phrases_are_english() -> None:
    assert prompt(Query("orange", "star")) == "a photo of an orange star"
    assert prompt(Query("red", None)) == "a photo of a red shape"
    assert plural("cross") == "crosses"
    assert article("hexagon") == "a hexagon"


def test_a_listing_names_everything_in_a_fixed_order() -> None:
    for seed in range(50):
        things = scene(WORLD, seed=seed).things
        said = listing(things)
        assert said == listing(things[::-1])
        assert all(thing.colour in said and thing.shape in said for thing in things)
