from pathlib import Path

import pytest
import torch
from torch import nn

from services.finetune.demo.stages import once


def test_a_stage_is_trained_once_and_then_read(tmp_path: Path) -> None:
    calls = []

    def train(layer: nn.Linear) -> None:
        calls.append(layer)
        nn.init.constant_(layer.weight, 3.0)

    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    seconds = once(first, tmp_path / "deep" / "stage.safetensors", lambda: train(first))
    assert once(second, tmp_path / "deep" / "stage.safetensors", lambda: train(second)) == seconds

    assert calls == [first]
    assert torch.equal(second.weight, torch.full((2, 2), 3.0))


def test_a_training_that_breaks_off_leaves_nothing_to_read(tmp_path: Path) -> None:
    def broken() -> None:
        raise KeyboardInterrupt

    layer = nn.Linear(2, 2)
    with pytest.raises(KeyboardInterrupt):
        once(layer, tmp_path / "stage.safetensors", broken)
    assert once(layer, tmp_path / "stage.safetensors", lambda: None) >= 0
