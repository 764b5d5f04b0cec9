"""Which version directories become a network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from services.detection.architectures import build
from services.detection.weights import read
from shared.serving.model import RefusedWeights
from tests.services.detection.random_networks import config, encoded, picture

CONFIG = config("tiny-ssd")
Tensors = dict[str, Tensor]
HEAD = "head.regression_head.module_list.0.bias"


def write(version: Path, tensors: Tensors) -> None:
    (version / "config.json").write_text(CONFIG.model_dump_json(exclude_none=True))
    save_file(tensors, version / "model.safetensors")


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    torch.manual_seed(0)
    return dict(build(CONFIG).state_dict())


def test_half_precision_on_disk_is_float32_in_the_network(tmp_path: Path, tensors: Tensors) -> None:
    write(tmp_path, {n: t.half() if t.is_floating_point() else t for n, t in tensors.items()})
    state = read(tmp_path)
    assert state.config == CONFIG
    assert state.golden == ()
    loaded = state.module.state_dict()
    assert loaded[HEAD].dtype == torch.float32
    assert all(torch.equal(loaded[name], tensor.half().float()) for name, tensor in tensors.items())
    assert not state.module.training


REFUSED: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "missing": (lambda t: {n: v for n, v in t.items() if n != HEAD}, f"1 tensors are missing.*{HEAD}"),
    "unexpected": (lambda t: t | {"head.more": torch.zeros(2)}, "1 tensors are unknown.*head.more"),
    "another shape": (lambda t: t | {HEAD: torch.zeros(3)}, rf"{HEAD} \[3\] instead of \[8\]"),
    "not finite": (lambda t: t | {HEAD: torch.full_like(t[HEAD], torch.nan)}, f"not finite.*{HEAD}"),
    "integers": (lambda t: t | {HEAD: torch.zeros_like(t[HEAD]).long()}, "number type"),
}


@pytest.mark.parametrize(("change", "told"), REFUSED.values(), ids=REFUSED)
def test_tensors_that_do_not_fit_are_refused_by_name(
    tmp_path: Path, tensors: Tensors, change: Callable[[Tensors], Tensors], told: str
) -> None:
    write(tmp_path, change(tensors))
    with pytest.raises(RefusedWeights, match=told):
        read(tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "told"),
    [
        ("config.json", b'{"architecture": "resnet", "labels": ["a"]}', "DetectorConfig is not valid: .*architecture"),
        ("config.json", b"{", "DetectorConfig is not valid"),
        ("model.safetensors", b"not tensors", "model.safetensors"),
        ("golden.json", b'[{"image": "../secret.png", "objects": []}]', "is not valid: 0.image"),
        ("golden.json", b'[{"image": "golden/0.png", "objects": []}]', "cannot be read: 0.png"),
    ],
)
def test_a_file_that_is_not_right_is_named(
    tmp_path: Path, tensors: Tensors, file: str, content: bytes, told: str
) -> None:
    write(tmp_path, tensors)
    (tmp_path / file).write_bytes(content)
    with pytest.raises(RefusedWeights, match=told):
        read(tmp_path)


def test_a_version_without_config_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedWeights, match=r"cannot be read: config\.json"):
        read(tmp_path)


def test_golden_cases_come_with_their_pictures_and_threshold(tmp_path: Path, tensors: Tensors) -> None:
    write(tmp_path, tensors)
    data = encoded(picture(0, 40, 60))
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden" / "0.png").write_bytes(data)
    (tmp_path / "golden.json").write_text(json.dumps([{"image": "golden/0.png", "objects": [], "threshold": 0.6}]))
    (case,) = read(tmp_path).golden
    assert case.item.data == data
    assert case.item.parameters.threshold == 0.6
