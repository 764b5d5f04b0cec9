from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torchvision.models import detection as tv

from services.detection.architectures import ARCHITECTURES, COCO_LABELS, GAP, DetectorConfig, build

SHAPES = ("circle", "square", "triangle")
TINY = [name for name in ARCHITECTURES if name.startswith("tiny")]
FULL = [name for name in ARCHITECTURES if not name.startswith("tiny")]


def config(name: str, **fields: object) -> DetectorConfig:
    return DetectorConfig.model_validate({"architecture": name, "labels": SHAPES, **fields})


@pytest.mark.parametrize("name", TINY)
def test_a_tiny_network_answers_pictures_of_any_shape_in_their_own_pixels(name: str) -> None:
    torch.manual_seed(0)
    model = build(config(name))
    with torch.inference_mode():
        wide, tall = model([torch.rand(3, 90, 200), torch.rand(3, 150, 70)])

    assert not model.training
    assert wide["boxes"].shape[1] == 4
    assert set(wide["labels"].tolist()) <= {1, 2, 3}
    assert wide["boxes"][:, [0, 2]].max() <= 200
    assert tall["boxes"][:, [1, 3]].max() <= 150
    assert ("masks" in wide) == (config(name).family == "mask-rcnn")


@pytest.mark.parametrize("name", FULL)
def test_a_full_size_network_has_the_parameters_of_torchvision_with_coco_classes(name: str) -> None:
    with torch.device("meta"):
        model = build(config(name, labels=COCO_LABELS))
        theirs = getattr(tv, name)(weights=None, weights_backbone=None, num_classes=91)

    ours = {key: value.shape for key, value in model.state_dict().items()}
    assert ours == {key: value.shape for key, value in theirs.state_dict().items()}


def test_the_mask_rcnn_starts_from_the_weights_of_the_faster_rcnn() -> None:
    faster = build(config("tiny-faster-rcnn"))
    missing, unexpected = build(config("tiny-mask-rcnn")).load_state_dict(faster.state_dict(), strict=False)

    assert unexpected == []
    assert all(key.startswith("roi_heads.mask_") for key in missing)


def test_the_first_torchvision_rcnns_normalise_with_epsilon_zero_as_their_weights_were_trained() -> None:
    with torch.device("meta"):
        model = build(config("fasterrcnn_resnet50_fpn"))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]

    assert len(norms) == 53
    assert {norm.eps for norm in norms} == {0.0}


def test_coco_keeps_its_ids_with_gaps() -> None:
    assert COCO_LABELS[1 - 1] == "person"
    assert COCO_LABELS[90 - 1] == "toothbrush"
    assert COCO_LABELS[12 - 1] == GAP
    assert len([label for label in COCO_LABELS if label != GAP]) == 80


def test_sizes_and_normalisation_reach_the_network() -> None:
    model = build(config("tiny-faster-rcnn", min_size=96, max_size=128, image_mean=(0.5, 0.5, 0.5)))
    transform: Any = model.transform

    assert transform.min_size == (96,)
    assert transform.max_size == 128
    assert transform.image_mean == [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"architecture": "yolo"}, "architecture must be one of"),
        ({"labels": ("cat", "cat")}, "labels must differ"),
        ({"labels": ()}, "at least 1 item"),
        ({"max_size": 320}, "tiny-ssd has no max_size"),
        ({"depth": 50}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_config_is_refused_with_the_reason(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        config("tiny-ssd", **fields)


def test_a_config_survives_its_json() -> None:
    before = config("tiny-mask-rcnn", image_std=(0.25, 0.25, 0.25), min_size=160)
    assert DetectorConfig.model_validate_json(before.model_dump_json()) == before
