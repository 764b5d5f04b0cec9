"""What each parameter of a request does to the answer."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torchvision.ops import box_iou

from services.detection.model import Item, Parameters
from shared.errors import InvalidImage, InvalidRequest
from shared.images.detections import Detections
from tests.services.detection.detectors import ALL, FILES, PIXELS, TINY, assert_same, detector, run
from tests.services.detection.random_networks import encoded, picture


@pytest.mark.parametrize("name", TINY)
def test_a_threshold_equals_filtering_afterwards(name: str) -> None:
    mine = detector(name)
    wide = Parameters(threshold=0.0, max_detections=1000)
    for all_of_it, strict in zip(run(mine, FILES, wide), run(mine, FILES, Parameters(threshold=0.6)), strict=True):
        assert strict.items == tuple(one for one in all_of_it.items if one.score >= 0.6)[:100]


@pytest.mark.parametrize("name", TINY)
def test_a_label_filter_keeps_just_those_labels(name: str) -> None:
    mine = detector(name)
    wide = Parameters(threshold=0.0, max_detections=1000)
    narrow = Parameters(threshold=0.0, max_detections=1000, labels=("class 5", "class 2"))
    for all_of_it, some in zip(run(mine, FILES, wide), run(mine, FILES, narrow), strict=True):
        assert some.items == tuple(one for one in all_of_it.items if one.label in {"class 2", "class 5"})


def test_each_picture_of_a_batch_has_its_own_parameters() -> None:
    mine = detector("tiny-faster-rcnn")
    parameters = [
        Parameters(threshold=0.7),
        Parameters(threshold=0.1, iou_threshold=0.1),
        Parameters(threshold=0.0, max_detections=3),
        Parameters(threshold=0.0, labels=("class 1",), iou_threshold=0.9),
    ]
    together = run(mine, FILES, *parameters)
    for found, data, own in zip(together, FILES, parameters, strict=True):
        assert_same(found, run(mine, [data], own)[0])
    assert len(together[2].items) == 3


@pytest.mark.parametrize("limit", [0.1, 0.6])
def test_boxes_of_a_label_overlap_up_to_the_iou_threshold(limit: float) -> None:
    (found,) = run(detector("tiny-ssd"), FILES[:1], Parameters(threshold=0.2, iou_threshold=limit, max_detections=300))
    boxes = torch.tensor([one.box for one in found.items])
    labels = torch.tensor([one.label_id for one in found.items])
    overlaps = box_iou(boxes, boxes).triu(1)[labels[:, None] == labels]
    assert limit - 0.1 < overlaps.max() <= limit + 1e-4


def test_masks_come_only_for_the_pictures_that_ask() -> None:
    mine = detector("tiny-mask-rcnn")
    without, with_masks = Parameters(threshold=0.5), Parameters(threshold=0.5, masks=True)
    found = run(mine, FILES, with_masks, without, with_masks, without)
    for one, asked in zip(found, (True, False, True, False), strict=True):
        assert one.items
        assert {item.mask is not None for item in one.items} == {asked}
        assert all(item.mask is None or item.mask.shape == (one.height, one.width) for item in one.items)


def test_the_mask_head_rests_where_nobody_asks_for_masks() -> None:
    mine = detector("tiny-mask-rcnn")
    module: Any = mine.serving.state.module
    runs: list[int] = []
    hook = module.roi_heads.mask_head.register_forward_hook(lambda *_: runs.append(1))
    try:
        run(mine, FILES, ALL)
    finally:
        hook.remove()
    assert runs == []


def test_scores_fall_and_boxes_lie_in_the_picture() -> None:
    for name in TINY:
        for found in run(detector(name), FILES, ALL):
            assert all(one.score >= other.score for one, other in pairwise(found.items))
            for one in found.items:
                x0, y0, x1, y1 = one.box
                assert 0 <= x0 <= x1 <= found.width + PIXELS
                assert 0 <= y0 <= y1 <= found.height + PIXELS


def test_a_picture_with_nothing_in_it_has_an_empty_answer() -> None:
    for name in TINY:
        (found,) = run(detector(name), FILES[:1], Parameters(threshold=1.0))
        assert found == Detections(160, 120, ())


@pytest.mark.parametrize(
    ("parameters", "param", "told"),
    [
        (Parameters(labels=("class 1", "clas 2")), "labels", r"no label 'clas 2'\. Did you mean 'class 2'\?.*class 8"),
        (Parameters(labels=()), "labels", "labels is empty"),
        (Parameters(masks=True), "masks", "boxes only"),
    ],
)
def test_parameters_that_the_model_cannot_follow_are_refused(parameters: Parameters, param: str, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told) as raised:
        detector("tiny-ssd").preprocess(Item(FILES[0], parameters))
    assert raised.value.param == param


def test_a_picture_that_cannot_be_answered_is_refused_by_its_field() -> None:
    for data in (b"", encoded(picture(0, 1, 900))):
        with pytest.raises(InvalidImage) as raised:
            detector("tiny-faster-rcnn").preprocess(Item(data, field="images[3]"))
        assert raised.value.param == "images[3]"
