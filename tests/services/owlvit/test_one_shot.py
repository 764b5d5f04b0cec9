"""Queries by example: the object that is meant, honest scores, and the same answers as transformers' own."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.ops import box_iou, generalized_box_iou

from services.owlvit.model import ImageQuery, Item, Parameters, TextQuery
from shared.accel.pixels import normalise, prepare
from shared.errors import InvalidRequest, UnsupportedMedia
from shared.settings import Limits
from tests.services.owlvit.owls import ALL, FAMILIES, FILES, PICTURES, ask, detector, network, picture, png, run

EXAMPLE = png(picture(9, 80, 60))
UNSIFTED = Parameters(threshold=0.0, iou_threshold=1.0, max_detections=300)


def guided(family: str, target: bytes, example: bytes) -> Any:
    """The output of transformers' `image_guided_detection`."""
    config = detector(family).serving.state.pixels
    pixels, query = (normalise(prepare(data, config, Limits())[None], config) for data in (target, example))
    with torch.inference_mode():
        return network(family).image_guided_detection(pixel_values=pixels, query_pixel_values=query)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_the_sigmoid_of_the_logits_that_transformers_computes(family: str) -> None:
    (found,) = run(detector(family), FILES[:1], ImageQuery(EXAMPLE), how=UNSIFTED)
    logits = guided(family, FILES[0], EXAMPLE).logits[0, :, 0]
    assert [one.score for one in found.items] == pytest.approx(logits.sigmoid().sort(descending=True).values.tolist())
    assert {(one.label, one.label_id) for one in found.items} == {("query", 0)}


def test_boxes_are_those_that_transformers_shows() -> None:
    (found,) = run(detector(), FILES[:1], ImageQuery(EXAMPLE), how=Parameters(threshold=0.6))
    height, width = PICTURES[0].shape[:2]
    (shown,) = FAMILIES["owlvit"][2]().post_process_image_guided_detection(
        guided("owlvit", FILES[0], EXAMPLE), 0.6, 0.3, torch.tensor([[height, width]])
    )
    ours = sorted(tuple(round(side, 2) for side in one.box) for one in found.items)
    boxes = sorted(tuple(round(side, 2) for side in box) for box in shown["boxes"].tolist())
    assert len(boxes) > 2
    assert np.allclose(ours, boxes, atol=0.02)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    "box", [(0.1, 0.2, 0.5, 0.6), (0.0, 0.0, 1.0, 1.0), (0.8, 0.8, 0.9, 0.9), (1.5, 1.5, 1.6, 1.6)]
)
def test_the_object_in_a_box_is_the_least_ordinary_of_those_that_fill_it_best(
    family: str, box: tuple[float, float, float, float]
) -> None:
    owl = detector(family)
    inside = owl.preprocess(Item(FILES[0], ask("cat")))
    with torch.inference_mode():
        patches = owl.serving.network.see(normalise(inside.picture.pixels[None], owl.serving.state.pixels))
        chosen = owl.serving.network.embed_example(patches[0], torch.tensor(box))
        vectors = network(family).class_predictor(patches)[1][0]
        boxes = owl.serving.network.boxes(patches)[0]
    ious = box_iou(torch.tensor([box]), boxes)[0].tolist()
    if not any(ious):
        ious = generalized_box_iou(torch.tensor([box]), boxes)[0].tolist()
    near = [patch for patch, iou in enumerate(ious) if iou >= min(0.8 * max(ious), max(ious))]
    best = min(near, key=lambda patch: float(vectors[patch] @ vectors.mean(0)))
    assert torch.allclose(chosen[0], vectors[best], atol=1e-5)


def test_an_example_in_the_picture_itself_equals_the_same_picture_sent_twice() -> None:
    owl = detector()
    own = run(owl, FILES[:1], ImageQuery(FILES[0], (10, 10, 60, 50)), how=UNSIFTED)
    sent = run(owl, FILES[:1], ImageQuery(bytes(bytearray(FILES[0])), (10, 10, 60, 50)), how=UNSIFTED)
    assert [one.score for one in own[0].items] == pytest.approx([one.score for one in sent[0].items], abs=1e-5)


def test_examples_and_labels_share_a_batch_and_one_run_of_the_backbone() -> None:
    owl = detector()
    sizes: list[int] = []
    tower = owl.serving.network.towers.vision_model
    tower.register_forward_hook(lambda _, __, kwargs, ___: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True)
    example = ImageQuery(EXAMPLE)
    queries: list[TextQuery | ImageQuery] = [ask("cat", "dog"), example, example, ImageQuery(FILES[3], (0, 0, 50, 50))]
    together = run(owl, FILES, *queries)
    assert sizes == [5], "four pictures, and one example that two of them share"
    for found, data, query in zip(together, FILES, queries, strict=True):
        (alone,) = run(owl, [data], query)
        assert [one.score for one in found.items] == pytest.approx([one.score for one in alone.items], abs=1e-5)


def test_boxes_found_by_example_are_sifted_unless_told_otherwise() -> None:
    owl = detector()
    (sifted,) = run(owl, FILES[:1], ImageQuery(EXAMPLE))
    (everything,) = run(owl, FILES[:1], ImageQuery(EXAMPLE), how=UNSIFTED)
    assert len(sifted.items) <= len(everything.items) == 36
    assert all(one in everything.items for one in sifted.items)


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 81, 5), (5, 0, 5, 9), (9, 0, 5, 9), (0, 0, 5, 61)])
def test_a_box_outside_its_picture_is_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(InvalidRequest, match="80 x 60") as refused:
        detector().preprocess(Item(FILES[0], ImageQuery(EXAMPLE, box), ALL))
    assert refused.value.param == "query_box"


def test_a_box_is_measured_in_the_upright_picture() -> None:
    upright = Image.fromarray(picture(9, 80, 60))
    exif = upright.getexif()
    exif[274] = 6
    file = io.BytesIO()
    upright.save(file, "PNG", exif=exif)
    detector().preprocess(Item(FILES[0], ImageQuery(file.getvalue(), (0, 0, 60, 80)), ALL))
    with pytest.raises(InvalidRequest, match="60 x 80"):
        detector().preprocess(Item(FILES[0], ImageQuery(file.getvalue(), (0, 0, 80, 60)), ALL))


def test_an_example_that_is_no_picture_is_refused_by_its_own_name() -> None:
    with pytest.raises(UnsupportedMedia) as refused:
        detector().preprocess(Item(FILES[0], ImageQuery(b"text"), ALL))
    assert refused.value.param == "query_image"
