"""The detector on a CUDA device, with the shipped weights: their answers are sure, random ones are not."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torchvision.ops import box_iou

from services.detection.golden import OVERLAP
from services.detection.model import Detector, Item, Parameters
from shared.accel.device import choose
from shared.accel.dtype import choose_dtype
from shared.images.detections import Detections

pytestmark = pytest.mark.gpu

ROOT = Path(__file__).parents[2]
MODELS = ("ssd", "faster-rcnn", "mask-rcnn")
FILES = [(ROOT / "examples" / name).read_bytes() for name in ("scene.jpg", "dark.png")]
SURE, DOUBTFUL = Parameters(threshold=0.5), Parameters(threshold=0.3)

LOSE_THE_DEVICE = """
import torch
from shared.accel.errors import classify
try:
    torch.zeros(4, device="cuda")[torch.tensor([99], device="cuda")]
    torch.cuda.synchronize()
except RuntimeError as error:
    print(type(classify(error)).__name__)
"""


def detector(model: str, device: str, dtype: torch.dtype) -> Detector:
    (version,) = (ROOT / "models" / "models" / model).iterdir()
    mine = Detector(choose(device, 1), dtype)
    mine.use(mine.read(version))
    return mine


def run(detector: Detector, parameters: Parameters) -> list[Detections]:
    return list(detector.predict([detector.preprocess(Item(data, parameters)) for data in FILES]))


def overlaps(sure: list[Detections], found: list[Detections]) -> list[float]:
    """For every detection in `sure`, the IoU of the best box of its label among those of `found`."""
    best = []
    for picture, other in zip(sure, found, strict=True):
        for one in picture.items:
            boxes = [item.box for item in other.items if item.label == one.label]
            best.append(box_iou(torch.tensor([one.box]), torch.tensor(boxes).view(-1, 4)).amax().item() if boxes else 0)
    return best


def test_auto_takes_the_gpu_and_bfloat16() -> None:
    device = choose("auto", 1)
    assert device == torch.device("cuda", 0)
    if torch.cuda.get_device_capability(device) >= (8, 0):
        assert choose_dtype("auto", device) is torch.bfloat16


@pytest.mark.parametrize("model", MODELS)
def test_float32_on_the_gpu_finds_what_the_cpu_finds(model: str) -> None:
    reference = run(detector(model, "cpu", torch.float32), SURE)
    found = overlaps(reference, run(detector(model, "cuda", torch.float32), DOUBTFUL))
    assert len(found) >= 5
    assert min(found) >= 0.98


@pytest.mark.parametrize(("model", "swaps"), [("ssd", 0), ("faster-rcnn", 1), ("mask-rcnn", 1)])
def test_bfloat16_hardly_moves_a_sure_box(model: str, swaps: int) -> None:
    """An R-CNN may keep another one of two boxes of nearly equal score, of which NMS leaves one: `swaps` boxes may
    differ by as much as a golden case allows, all others hardly at all."""
    reference = run(detector(model, "cuda", torch.float32), SURE)
    half = detector(model, "cuda", torch.bfloat16)
    assert half.describe()["dtype"] == "bfloat16"
    found = sorted(overlaps(reference, run(half, DOUBTFUL)))
    assert len(found) >= 5
    assert found[0] >= OVERLAP
    assert found[swaps] >= 0.98


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_the_golden_cases_hold_on_the_gpu(model: str, dtype: torch.dtype) -> None:
    mine = detector(model, "cuda", dtype)
    cases = mine.golden()
    assert cases
    for case in cases:
        (found,) = mine.predict([mine.preprocess(case.item)])
        assert case.check(found) is None


def test_masks_of_the_gpu_have_the_size_of_the_picture() -> None:
    mine = detector("mask-rcnn", "cuda", torch.bfloat16)
    for found in run(mine, Parameters(masks=True)):
        assert found.items
        assert all(one.mask is not None and one.mask.shape == (found.height, found.width) for one in found.items)
        assert all(one.mask is not None and one.mask.any() for one in found.items)


def test_a_picture_waits_for_the_gpu_as_bytes_and_not_as_floats() -> None:
    mine = detector("ssd", "cuda", torch.bfloat16)
    features = mine.preprocess(Item(FILES[0]))
    assert features.pixels.dtype == torch.uint8
    mine.pulse()


def test_a_device_side_assert_is_a_lost_device() -> None:
    """In a process of its own: the device is of no use to this one afterwards."""
    command = [sys.executable, "-c", LOSE_THE_DEVICE]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=100).stdout.split() == [
        b"DeviceLost"
    ]
