"""The batched post-processing against torchvision's own functions, picture by picture."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.ops import boxes as tv

from services.detection.parameters import Ask, Wanted
from services.detection.postprocess import Candidates, best_of_each, clip, grouped_nms, select, with_extent

CPU = torch.device("cpu")
CLASSES = 6  # the background included
seeds = st.integers(0, 2**31)
sizes = st.integers(0, 400)


def random_boxes(count: int, seed: int, side: float = 300.0) -> tuple[Tensor, Tensor]:
    """Boxes that often overlap, and distinct scores."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * side
    boxes = torch.cat([corners, corners + torch.rand(count, 2, generator=generator) * side / 2], dim=1)
    return boxes, torch.rand(count, generator=generator)


def random_candidates(count: int, seed: int, pictures: int) -> Candidates:
    boxes, scores = random_boxes(count, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    labels = torch.randint(1, CLASSES, (count,), generator=generator)
    return Candidates(boxes, scores, labels, torch.randint(0, pictures, (count,), generator=generator))


def asking(threshold: float = 0.0, iou: float = 0.5, limit: int = 100, classes: tuple[int, ...] | None = None) -> Ask:
    return Ask(threshold, iou, classes, limit, False)


def wanted(*asks: Ask, floor: float = 0.0) -> Wanted:
    return Wanted.of(asks, floor=floor, classes=CLASSES, device=CPU)


@given(seed=seeds, count=sizes, groups=st.integers(1, 40))
@settings(deadline=None, max_examples=40)
def test_nms_of_groups_is_nms_of_each_group(seed: int, count: int, groups: int) -> None:
    boxes, scores = random_boxes(count, seed)
    of = torch.randint(0, groups, (count,), generator=torch.Generator().manual_seed(seed))
    kept: list[int] = []
    for group in range(groups):
        rows = (of == group).nonzero().squeeze(1)
        kept += rows[tv.nms(boxes[rows], scores[rows], 0.5)].tolist()
    found = grouped_nms(boxes, scores, of, 0.5).tolist()
    assert sorted(found) == sorted(kept)
    assert scores[found].tolist() == sorted(scores[kept].tolist(), reverse=True)


def test_nms_is_exact_where_groups_are_shifted_a_million_pixels_apart() -> None:
    boxes, scores = random_boxes(900, seed=3, side=1333.0)
    alone = tv.nms(boxes, scores, 0.5)
    last_of_eight_pictures = torch.full((900,), 8 * 91 - 1)
    assert grouped_nms(boxes, scores, last_of_eight_pictures, 0.5).tolist() == alone.tolist()


@given(seed=seeds, count=sizes, limits=st.lists(st.integers(0, 9), min_size=1, max_size=20))
@settings(deadline=None, max_examples=40)
def test_best_of_each_group_are_its_highest_scores_in_order(seed: int, count: int, limits: list[int]) -> None:
    _, scores = random_boxes(count, seed)
    groups = torch.randint(0, len(limits), (count,), generator=torch.Generator().manual_seed(seed))
    expected: list[int] = []
    for group, limit in enumerate(limits):
        rows = (groups == group).nonzero().squeeze(1).tolist()
        expected += sorted(rows, key=lambda row: -scores[row].item())[:limit]
    assert best_of_each(scores, groups, torch.tensor(limits)).tolist() == expected


def test_equal_scores_keep_their_order() -> None:
    rows = best_of_each(torch.full((7,), 0.5), torch.tensor([1, 0, 1, 0, 1, 0, 1]), torch.tensor([2, 3]))
    assert rows.tolist() == [1, 3, 0, 2, 4]


@given(seed=seeds, count=sizes, pictures=st.integers(1, 5), data=st.data())
@settings(deadline=None, max_examples=40)
def test_selection_of_a_batch_is_torchvisions_of_each_picture(
    seed: int, count: int, pictures: int, data: st.DataObject
) -> None:
    found = random_candidates(count, seed, pictures)
    asks = [
        asking(iou=data.draw(st.sampled_from([0.3, 0.5, 0.7])), limit=data.draw(st.integers(0, 40)))
        for _ in range(pictures)
    ]
    chosen = select(found, wanted(*asks))
    for picture, one in enumerate(asks):
        own = found[(found.images == picture).nonzero().squeeze(1)]
        expected = own[tv.batched_nms(own.boxes, own.scores, own.labels, one.iou)[: one.limit]]
        mine = chosen[(chosen.images == picture).nonzero().squeeze(1)]
        assert mine.boxes.tolist() == expected.boxes.tolist()
        assert mine.labels.tolist() == expected.labels.tolist()
        assert mine.scores.tolist() == expected.scores.tolist()


@given(seed=seeds, threshold=st.floats(0, 1))
@settings(deadline=None, max_examples=30)
def test_a_threshold_before_nms_equals_one_after_it(seed: int, threshold: float) -> None:
    found = random_candidates(200, seed, 2)
    asked = wanted(asking(threshold, limit=200), asking(limit=200))
    passing = (found.scores >= asked.thresholds[found.images, found.labels]).nonzero().squeeze(1)
    before = select(found[passing], asked)
    everything = select(found, wanted(asking(limit=200), asking(limit=200)))
    after = everything[((everything.scores >= threshold) | (everything.images == 1)).nonzero().squeeze(1)]
    assert before.scores.tolist() == after.scores.tolist()


@given(seed=seeds, count=sizes, height=st.integers(1, 400), width=st.integers(1, 400))
@settings(deadline=None, max_examples=30)
def test_clipping_and_the_least_extent_are_torchvisions(seed: int, count: int, height: int, width: int) -> None:
    boxes, _ = random_boxes(count, seed)
    boxes -= 50
    clipped = clip(boxes, torch.tensor([[height, width]], dtype=torch.float32).expand(count, 2))
    assert clipped.tolist() == tv.clip_boxes_to_image(boxes, (height, width)).tolist()
    assert with_extent(clipped, 1.0).nonzero().squeeze(1).tolist() == tv.remove_small_boxes(clipped, 1.0).tolist()


def test_scores_at_the_models_own_floor_do_not_count_and_those_at_the_threshold_do() -> None:
    low, high = wanted(asking(threshold=0.0), asking(threshold=0.25), floor=0.05).thresholds[:, 1]
    assert not torch.tensor(0.05) >= low
    assert torch.tensor(0.0500001) >= low
    assert torch.tensor(0.25) >= high


def test_classes_that_nobody_asks_for_have_no_threshold_that_a_score_could_reach() -> None:
    of_some, of_all = wanted(asking(classes=(2, 4)), asking()).thresholds
    assert of_some.isfinite().tolist() == [False, False, True, False, True, False]
    assert of_all.isfinite().tolist() == [False, True, True, True, True, True]
