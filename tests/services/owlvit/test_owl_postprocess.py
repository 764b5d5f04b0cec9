"""From logits to detections, on numbers that can be checked by hand."""

import math

import pytest
import torch

from services.owlvit.postprocess import DROPPED, Ask, Wanted, select

BOXES = torch.tensor([[[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]]])


def logits(*patches: tuple[float, ...]) -> torch.Tensor:
    """The logits [1, p, q] of scores."""
    return torch.tensor([[[math.log(score / (1 - score)) for score in patch] for patch in patches]])


def selected(scores: torch.Tensor, *asks: Ask, boxes: torch.Tensor = BOXES) -> list[list[tuple[float, int, float]]]:
    """(score, query, left side) of what is kept, per picture."""
    table = select(scores, boxes.expand(len(scores), -1, -1), Wanted.of(asks, torch.device("cpu")))
    return [[(round(r[4], 3), int(r[5]), r[0]) for r in rows if r[4] != DROPPED] for rows in table.tolist()]


def test_a_patch_has_its_best_label_alone() -> None:
    scores = logits((0.6, 0.7), (0.8, 0.1), (0.2, 0.3))
    assert selected(scores, Ask((0.0, 0.0), None, 10)) == [[(0.8, 0, 1.0), (0.7, 1, 0.0), (0.3, 1, 50.0)]]


def test_the_best_label_of_a_patch_must_pass_its_own_threshold() -> None:
    scores = logits((0.6, 0.7), (0.8, 0.1), (0.2, 0.3))
    assert selected(scores, Ask((0.0, 0.75), None, 10)) == [[(0.8, 0, 1.0)]]
    assert selected(scores, Ask((0.9, 0.0), None, 10)) == [[(0.7, 1, 0.0), (0.3, 1, 50.0)]]


def test_nms_drops_the_weaker_of_two_boxes_whatever_their_labels() -> None:
    scores = logits((0.6, 0.7), (0.8, 0.1), (0.2, 0.3))
    assert selected(scores, Ask((0.0, 0.0), 0.5, 10)) == [[(0.8, 0, 1.0), (0.3, 1, 50.0)]]
    assert len(selected(scores, Ask((0.0, 0.0), 0.9, 10))[0]) == 3


def test_a_box_under_its_threshold_suppresses_nothing() -> None:
    scores = logits((0.6, 0.7), (0.8, 0.1), (0.2, 0.3))
    assert selected(scores, Ask((0.9, 0.0), 0.5, 10)) == [[(0.7, 1, 0.0), (0.3, 1, 50.0)]]


def test_each_picture_of_a_batch_gets_its_own_nms_and_thresholds() -> None:
    scores = logits((0.6, 0.7), (0.8, 0.1), (0.2, 0.3)).expand(4, -1, -1)
    asks = [Ask((0.0, 0.0), None, 10), Ask((0.0, 0.0), 0.5, 10), Ask((0.75, 0.75), 0.9, 10), Ask((1.0, 1.0), 0.5, 10)]
    assert [len(found) for found in selected(scores, *asks)] == [3, 2, 1, 0]


def test_no_more_are_kept_than_the_largest_limit_and_the_best_come_first() -> None:
    scores = logits((0.6,), (0.8,), (0.2,))
    assert selected(scores, Ask((0.0,), None, 2)) == [[(0.8, 0, 1.0), (0.6, 0, 0.0)]]


def test_queries_beyond_a_pictures_own_never_pass() -> None:
    padded = torch.full((1, 3, 2), torch.finfo(torch.float32).min)
    padded[..., 0] = logits((0.6,), (0.8,), (0.2,))[..., 0]
    both = torch.cat([padded, logits((0.1, 0.2), (0.1, 0.2), (0.1, 0.2))])
    first, second = selected(both, Ask((0.0,), None, 9), Ask((0.0, 0.0), None, 9))
    assert {query for _, query, _ in first} == {0}
    assert {query for _, query, _ in second} == {1}


@pytest.mark.parametrize("iou", [None, 0.5])
def test_a_score_that_is_no_number_is_dropped(iou: float | None) -> None:
    scores = logits((0.6,), (0.8,), (0.2,))
    scores[0, 1] = torch.nan
    assert [score for score, _, _ in selected(scores, Ask((0.0,), iou, 10))[0]] == [0.6, 0.2]
