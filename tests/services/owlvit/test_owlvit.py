"""The open-vocabulary detector against transformers' own forward on the same weights, and as the core drives it."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torchvision.ops import box_iou

from services.owlvit.features import featurise
from services.owlvit.model import Item, Label, OwlVit, Parameters, TextQuery
from shared.errors import InvalidRequest
from shared.images.detections import Detections
from shared.serving.model import RefusedWeights
from shared.settings import Limits
from tests.services.owlvit.owls import (
    ALL,
    CPU,
    FAMILIES,
    FILES,
    LABELS,
    LONGEST,
    PICTURES,
    SIDE,
    ask,
    detector,
    run,
    theirs,
)

LISTS = [ask("cat", "dog"), ask("owl"), ask(*LABELS), ask("dog", "x", "cat")]


def names(query: TextQuery) -> list[str]:
    return [label.name for label in query.labels]


def assert_same(found: Detections, expected: list[tuple[Any, ...]], *, pixels: float, score: float) -> None:
    """The same boxes with the same labels and scores; those of nearly equal scores may have changed places."""
    assert [one.score for one in found.items] == pytest.approx([row[1] for row in expected], abs=score)
    left = list(expected)
    for one in found.items:
        match = next(row for row in left if row[0] == one.label and one.box == pytest.approx(row[2], abs=pixels))
        assert match[1] == pytest.approx(one.score, abs=score)
        left.remove(match)


def triples(found: Detections) -> list[tuple[Any, ...]]:
    return [(one.label, one.score, one.box) for one in found.items]


# OWLv2's pictures are rounded to 8 bits here, and stay fractions there.
@pytest.mark.parametrize(("family", "pixels", "score"), [("owlvit", 0.01, 1e-4), ("owlv2", 0.1, 1e-2)])
def test_a_batch_of_different_label_lists_equals_transformers_on_each_picture(
    family: str, pixels: float, score: float
) -> None:
    for found, picture, query in zip(run(detector(family), FILES, *LISTS), PICTURES, LISTS, strict=True):
        assert (found.height, found.width) == picture.shape[:2]
        expected = theirs(family, picture, names(query), 0.0)
        assert len(expected) == (SIDE // 16) ** 2
        assert_same(found, expected, pixels=pixels, score=score)


@pytest.mark.parametrize("threshold", [0.1, 0.5, 0.9])
def test_a_threshold_keeps_what_transformers_keeps(threshold: float) -> None:
    (found,) = run(detector(), FILES[:1], ask(*LABELS), how=replace(ALL, threshold=threshold))
    expected = theirs("owlvit", PICTURES[0], LABELS, threshold)
    assert 0 < len(expected) < (SIDE // 16) ** 2
    assert_same(found, expected, pixels=0.01, score=1e-4)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_does_not_depend_on_its_batch_mates(family: str) -> None:
    owl = detector(family)
    for found, data, query in zip(run(owl, FILES, *LISTS), FILES, LISTS, strict=True):
        assert_same(run(owl, [data], query)[0], triples(found), pixels=1e-3, score=1e-5)


def test_a_long_list_beside_a_short_one_lends_it_no_label() -> None:
    short, long = run(detector(), FILES[:2], ask("cat"), ask(*(f"q{n}" for n in range(100))))
    assert {one.label for one in short.items} == {"cat"}
    assert {one.label_id for one in short.items} == {0}
    assert len({one.label for one in long.items}) > 3


def test_the_text_tower_runs_once_per_new_label_and_once_per_batch() -> None:
    owl = detector()
    seen: list[int] = []
    tower = owl.serving.network.towers.text_model
    hook = tower.register_forward_hook(
        lambda _, __, kwargs, ___: seen.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    run(owl, FILES[:2], ask("cat", "dog"), ask("dog", "owl"))
    assert seen == [3]
    run(owl, FILES, ask("owl", "cat"))
    assert seen == [3]
    run(owl, FILES[:1], ask("owl", "x"))
    assert seen == [3, 1]
    run(owl, FILES[:1], ask("owl", template="a {}"))
    assert seen == [3, 1, 1]
    hook.remove()


def test_cached_labels_answer_as_fresh_ones() -> None:
    owl = detector()
    assert run(owl, FILES, *LISTS) == run(owl, FILES, *LISTS)


def test_all_pictures_of_a_batch_go_through_the_backbone_once() -> None:
    owl = detector()
    sizes: list[int] = []
    tower = owl.serving.network.towers.vision_model
    tower.register_forward_hook(lambda _, __, kwargs, ___: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True)
    run(owl, FILES, *LISTS)
    assert sizes == [len(FILES)]


def test_a_label_may_ask_for_more_than_the_request() -> None:
    query = ask(*LABELS, thresholds=[0.99])
    (plain,) = run(detector(), FILES[:1], ask(*LABELS), how=replace(ALL, threshold=0.2))
    (strict,) = run(detector(), FILES[:1], query, how=replace(ALL, threshold=0.2))
    dropped = [one for one in plain.items if one.label == LABELS[0] and one.score < 0.99]
    assert dropped
    assert list(strict.items) == [one for one in plain.items if one not in dropped]


def test_parameters_belong_to_one_item_of_a_batch() -> None:
    owl = detector()
    wishes = [
        Parameters(threshold=0.0, max_detections=3),
        Parameters(threshold=0.5, max_detections=300),
        Parameters(threshold=0.0, iou_threshold=0.05, max_detections=300),
        ALL,
    ]
    items = [Item(FILES[0], ask(*LABELS), wish) for wish in wishes]
    few, sure, apart, everything = owl.predict([owl.preprocess(item) for item in items])
    assert few.items == everything.items[:3]
    assert sure.items == tuple(one for one in everything.items if one.score >= 0.5)
    assert 0 < len(apart.items) < len(everything.items)
    boxes = torch.tensor([one.box for one in apart.items])
    assert box_iou(boxes, boxes).fill_diagonal_(0).max() <= 0.05
    assert apart.items[0] == everything.items[0]


def test_labels_come_under_the_callers_spelling_and_place() -> None:
    query = TextQuery((Label("Cat", 0), Label("  a  RED ", 7)), "{}")
    (found,) = run(detector(), FILES[:1], query)
    (plain,) = run(detector(), FILES[:1], ask("cat", "a red"))
    assert [one.score for one in found.items] == [one.score for one in plain.items]
    assert {(one.label, one.label_id) for one in found.items} == {("Cat", 0), ("  a  RED ", 7)}


def test_the_versions_own_template_serves_where_the_request_has_none() -> None:
    owl = detector()
    assert run(owl, FILES[:1], ask("cat", template=None)) == run(owl, FILES[:1], ask("cat", template="a photo of a {}"))
    assert run(owl, FILES[:1], ask("cat", template=None)) != run(owl, FILES[:1], ask("cat"))


def test_a_label_of_too_many_tokens_is_refused_by_name_and_with_both_numbers() -> None:
    owl = detector()
    owl.preprocess(Item(FILES[0], ask("a" * (LONGEST - 2))))
    with pytest.raises(InvalidRequest) as refused:
        owl.preprocess(Item(FILES[0], ask("cat", "a" * (LONGEST - 1))))
    assert refused.value.param == "labels[1]"
    assert refused.value.code == "label_too_long"
    assert "17 tokens" in refused.value.message
    assert "at most 16" in refused.value.message


def test_label_embeddings_go_with_their_weights() -> None:
    moving = detector()
    run(moving, FILES[:1], ask(*LABELS))
    moving.use(detector(seed=1).serving.state)
    assert run(moving, FILES[:1], ask(*LABELS)) == run(detector(seed=1), FILES[:1], ask(*LABELS))


def test_bfloat16_finds_the_sure_boxes_again() -> None:
    half = detector(dtype=torch.bfloat16)
    assert half.describe()["dtype"] == "bfloat16"
    (exact,) = run(detector(), FILES[:1], ask(*LABELS), how=replace(ALL, threshold=0.7))
    (rough,) = run(half, FILES[:1], ask(*LABELS), how=replace(ALL, threshold=0.3))
    boxes = torch.tensor([one.box for one in rough.items])
    assert len(exact.items) > 5
    assert all(box_iou(torch.tensor([one.box]), boxes).max() > 0.9 for one in exact.items)


def test_scores_fall_and_are_shares() -> None:
    for found in run(detector(), FILES, *LISTS):
        assert all(0 <= second.score <= first.score <= 1 for first, second in pairwise(found.items))


def test_cost_is_the_pixels_that_the_backbone_sees() -> None:
    owl = detector()
    features = featurise(Item(FILES[2], ask("cat")), owl.serving.state, Limits())
    assert owl.cost(features) == SIDE * SIDE


def test_the_example_is_answered_and_the_description_tells_what_serves() -> None:
    owl = detector("owlv2")
    assert [one.width for one in owl.predict([owl.preprocess(owl.example())])] == [640]
    described = owl.describe()
    assert described["capabilities"] == ["open-detection", "image-query"]
    assert (described["architecture"], described["context_length"]) == ("owlv2", LONGEST)


def test_no_weights_no_answer() -> None:
    with pytest.raises(RefusedWeights):
        OwlVit(CPU).preprocess(Item(FILES[0], ask("cat")))
