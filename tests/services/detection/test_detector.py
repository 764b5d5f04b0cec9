"""The detector against torchvision's own forward on the same weights, and as the serving core drives it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from safetensors.torch import save_file
from torchvision.ops import box_iou

from services.detection.model import Detector, Item, Parameters
from shared.serving.model import DeviceOutOfMemory, RefusedWeights
from tests.services.detection.detectors import (
    ALL,
    CONFIGS,
    CPU,
    FILES,
    FULL_SIZE,
    LIMIT,
    PICTURES,
    TINY,
    assert_same,
    bare,
    detector,
    detector_of,
    network,
    run,
)
from tests.services.detection.random_networks import encoded, picture, random_network


@pytest.mark.parametrize("name", TINY)
def test_a_batch_equals_torchvisions_forward_of_each_picture(name: str) -> None:
    mine = detector(name)
    asked = replace(ALL, masks=mine.finds_masks)
    for found, pixels in zip(run(mine, FILES, asked), PICTURES, strict=True):
        (expected,) = bare(network(name), pixels)
        assert len(expected.items) == LIMIT
        assert_same(found, expected)


@pytest.mark.parametrize("name", FULL_SIZE)
def test_a_full_size_network_answers_as_torchvisions_forward(name: str) -> None:
    """The same two pictures together in both: random residual networks make much of how a convolution rounds, and
    that differs with the size of the batch."""
    mine = detector(name)
    found = run(mine, FILES[:2], replace(ALL, masks=mine.finds_masks))
    for one, expected in zip(found, bare(network(name), *PICTURES[:2]), strict=True):
        assert len(expected.items) == LIMIT
        assert_same(one, expected)


@pytest.mark.parametrize("name", TINY)
def test_an_answer_does_not_depend_on_its_batch_mates(name: str) -> None:
    mine = detector(name)
    for found, data in zip(run(mine, FILES, ALL), FILES, strict=True):
        assert_same(found, run(mine, [data], ALL)[0])


def test_pictures_of_one_padded_size_share_a_run_of_the_network() -> None:
    mine = detector("tiny-faster-rcnn")
    module: Any = mine.serving.state.module
    runs: list[int] = []
    hook = module.backbone.register_forward_hook(lambda _, images, __: runs.append(len(images[0])))
    try:
        run(mine, FILES, ALL)
    finally:
        hook.remove()
    assert sorted(runs) == [1, 1, 2]


def test_a_very_flat_first_picture_leaves_no_trace() -> None:
    name = "tiny-faster-rcnn"
    fresh = detector_of(TINY[name], network(name))
    run(fresh, [encoded(picture(9, 10, 1500))], ALL)
    assert_same(run(fresh, FILES[:1], ALL)[0], bare(network(name), PICTURES[0])[0])


@pytest.mark.parametrize("name", ["tiny-ssd", "ssd300_vgg16"])
def test_bfloat16_moves_the_confident_boxes_of_an_ssd_by_little(name: str) -> None:
    half = detector_of(CONFIGS[name], network(name), torch.bfloat16)
    assert half.describe()["dtype"] == "bfloat16"
    (exact,) = run(detector(name), FILES[:1], Parameters(threshold=0.5, max_detections=30))
    (rough,) = run(half, FILES[:1], Parameters(threshold=0.3, max_detections=300))
    boxes = torch.tensor([one.box for one in rough.items])
    labels = torch.tensor([one.label_id for one in rough.items])
    best = [(box_iou(torch.tensor([one.box]), boxes)[0] * (labels == one.label_id)).max().item() for one in exact.items]
    assert len(best) > 10
    assert np.mean(np.array(best) > 0.9) >= 0.9


def test_an_r_cnn_stays_in_float32_on_a_cpu() -> None:
    rcnn = detector_of(TINY["tiny-faster-rcnn"], network("tiny-faster-rcnn"), torch.bfloat16)
    assert rcnn.describe()["dtype"] == "float32"
    assert_same(run(rcnn, FILES[:1], ALL)[0], run(detector("tiny-faster-rcnn"), FILES[:1], ALL)[0])


def test_the_description_tells_what_serves() -> None:
    assert detector("tiny-mask-rcnn").describe() == {
        "capabilities": ["detection", "masks"],
        "architecture": "tiny-mask-rcnn",
        "classes": 8,
        "device": "cpu",
        "dtype": "float32",
    }
    assert detector("tiny-ssd").describe()["capabilities"] == ["detection"]
    assert detector("tiny-ssd").labels["class 3"] == 3


def test_cost_is_the_pixels_of_the_padded_input() -> None:
    mine = detector("fasterrcnn_resnet50_fpn_v2")
    features = mine.preprocess(Item(encoded(picture(0, 120, 160))))
    assert features.sizes.resized == (96, 128)
    assert mine.cost(features) == 96 * 128
    assert mine.cost(mine.preprocess(Item(encoded(picture(0, 120, 170))))) == 96 * 160


def test_the_example_is_answered() -> None:
    mine = detector("tiny-ssd")
    assert [one.width for one in mine.predict([mine.preprocess(mine.example())])] == [640]


def test_golden_cases_of_a_version_hold_for_its_weights_and_for_no_others(tmp_path: Path) -> None:
    asked = Parameters(threshold=0.7)
    (expected,) = run(detector("tiny-ssd"), FILES[:1], asked)
    objects = [{"box": one.box, "label": one.label} for one in expected.items]
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "0.png").write_bytes(FILES[0])
    golden = [{"image": "golden/0.png", "threshold": 0.7, "objects": objects}]
    (tmp_path / "golden.json").write_bytes(orjson.dumps(golden))
    (tmp_path / "config.json").write_text(TINY["tiny-ssd"].model_dump_json(exclude_none=True))
    save_file(network("tiny-ssd").state_dict(), tmp_path / "model.safetensors")

    mine = Detector(CPU)
    mine.use(mine.read(tmp_path))
    (case,) = mine.golden()
    assert case.check(run(mine, [case.item.data], case.item.parameters)[0]) is None

    save_file(random_network(TINY["tiny-ssd"], seed=1).state_dict(), tmp_path / "model.safetensors")
    mine.use(mine.read(tmp_path))
    (case,) = mine.golden()
    assert case.check(run(mine, [case.item.data], case.item.parameters)[0]) is not None


def test_weights_that_cannot_be_read_leave_the_ones_in_use_alone(tmp_path: Path) -> None:
    mine = detector_of(TINY["tiny-ssd"], network("tiny-ssd"))
    before = run(mine, FILES, ALL)
    with pytest.raises(RefusedWeights):
        mine.read(tmp_path)
    assert run(mine, FILES, ALL) == before


def test_a_full_memory_is_told_from_an_error_of_one_picture() -> None:
    mine = detector("tiny-ssd")
    assert isinstance(mine.classify(torch.OutOfMemoryError("CUDA out of memory")), DeviceOutOfMemory)
    error = ValueError("other")
    assert mine.classify(error) is error
