from pathlib import Path

import pytest
import torch

from services.detection.model import Detector, Item, Parameters
from services.finetune.data.examples import DetectionExample
from services.finetune.demo.novel import familiar, novel
from services.finetune.detection.answers import detector
from services.finetune.detection.evaluation import SHOWN, evaluate, scores
from services.finetune.detection.precision import Precision
from services.finetune.task import Evaluation
from shared.images.detections import Detection, Detections
from tests.services.finetune.detection.pictures_on_disk import examples, shipped


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> list[DetectionExample]:
    """Thirty pictures of what the shipped weights know."""
    return examples(tmp_path_factory.mktemp("old"), familiar, 30)


@pytest.fixture(scope="module")
def judged(old: list[DetectionExample], tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return evaluate(detector(shipped("ssd", tmp_path_factory.mktemp("cache")).path), old)


def answered(example: DetectionExample, score: float = 0.9) -> Detections:
    """The truth, as if it had been found."""
    pairs = zip(example.labels, example.boxes, strict=True)
    return Detections(*example.size, tuple(Detection(box, label, 1, score) for label, box in pairs))


def precision(old: list[DetectionExample]) -> Precision:
    names = sorted({label for example in old for label in example.labels})
    return Precision({name: number for number, name in enumerate(names, start=1)}, masks=False)


def test_the_shipped_weights_score_as_well_on_other_scenes_as_their_card_says(judged: Evaluation) -> None:
    assert judged.scores["ap50"] > 0.93
    assert judged.scores["ap50"] >= judged.scores["ap75"] >= judged.scores["ap"]
    assert judged.scores["ar"] > judged.scores["ap"]


def test_each_class_has_a_score_and_a_curve_and_their_mean_is_the_headline(judged: Evaluation) -> None:
    each = {name: score for name, score in judged.scores.items() if "/" in name}
    curves = judged.charts["precision over recall"]

    assert len(each) == len(curves) == 8
    assert sum(each.values()) / 8 == pytest.approx(judged.scores["ap50"], abs=1e-6)
    assert all(len(curve.x) == len(curve.y) == 101 for curve in curves)
    assert all(a >= b for curve in curves for a, b in zip(curve.y, curve.y[1:], strict=False))


def test_every_object_is_counted_once_in_the_confusion(judged: Evaluation, old: list[DetectionExample]) -> None:
    assert judged.confusion is not None
    objects = sum(sum(row) for row in judged.confusion.counts[:-1])
    assert objects == sum(len(example.labels) for example in old)


def test_the_worst_pictures_come_first_with_truth_and_answer_beside_each_other(judged: Evaluation) -> None:
    errors = [one.error for one in judged.shown]
    assert len(errors) == SHOWN
    assert errors == sorted(errors, reverse=True)
    assert judged.shown[0].picture.width > judged.shown[0].picture.height
    assert judged.shown[-1].truth == judged.shown[-1].answer


def test_scores_on_the_way_are_those_of_the_evaluation(
    judged: Evaluation, old: list[DetectionExample], tmp_path: Path
) -> None:
    assert scores(detector(shipped("ssd", tmp_path).path), old) == judged.scores


def test_they_are_the_scores_of_what_a_request_is_answered(
    judged: Evaluation, old: list[DetectionExample], tmp_path: Path
) -> None:
    served = Detector(torch.device("cpu"))
    served.use(served.read(shipped("ssd", tmp_path).path))
    own = precision(old)
    for example in old:  # one at a time, as requests come
        asked = Item(example.picture.read(), Parameters(threshold=0.0, max_detections=100))
        own.add(example, served.predict([served.preprocess(asked)])[0])

    assert own.compute()[0]["ap50"] == pytest.approx(judged.scores["ap50"], abs=1e-4)


def test_a_class_that_a_version_does_not_know_counts_as_never_found(tmp_path: Path) -> None:
    told = evaluate(detector(shipped("ssd", tmp_path).path), examples(tmp_path, novel, 8))
    assert told.scores["ap50/crescent"] == 0.0
    assert told.scores["ap50"] < 0.8


def test_masks_are_scored_where_version_and_truth_have_them(old: list[DetectionExample], tmp_path: Path) -> None:
    told = evaluate(detector(shipped("mask-rcnn", tmp_path).path), old[:6]).scores
    assert told["mask_ap50"] > 0.8
    assert told["mask_ap"] < told["mask_ap50"]
    assert "mask_ap" not in scores(detector(shipped("mask-rcnn", tmp_path).path), old[:1])


def test_perfect_answers_score_one_and_none_score_zero(old: list[DetectionExample]) -> None:
    perfect, silent = precision(old), precision(old)
    for example in old:
        perfect.add(example, answered(example))
        silent.add(example, Detections(*example.size, ()))

    assert set(perfect.compute()[0].values()) == {1.0}
    assert set(silent.compute()[0].values()) == {0.0}


def test_a_wrong_box_that_is_surer_than_the_right_one_halves_the_precision(old: list[DetectionExample]) -> None:
    example = next(one for one in old if len(one.labels) == 1)
    right = answered(example, 0.5).items[0]
    wrong = Detection((0.0, 0.0, 1.0, 1.0), right.label, 1, 0.9)
    own = precision([example])
    own.add(example, Detections(*example.size, (wrong, right)))

    assert own.compute()[0]["ap50"] == pytest.approx(0.5)
