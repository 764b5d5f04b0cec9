"""Two processes take the very steps of one process with twice the batch, whatever the task."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from services.finetune.training.together import gathered, processes, share
from tests.services.finetune.training import doubled

ROOT = Path(__file__).resolve().parents[4]
PAIR = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0")
Losses = Mapping[str, list[float]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    torch.set_num_threads(1)
    return doubled.losses(tmp_path_factory.mktemp("alone"), 8)


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Losses:
    folder = tmp_path_factory.mktemp("together")
    command = [sys.executable, *PAIR, "-m", "tests.services.finetune.training.doubled", str(folder), "4"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: Losses = json.loads((folder / "losses.json").read_text())
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize("task", doubled.TASKS)
def test_the_losses_of_two_are_those_of_one(task: str, alone: Losses, together: Losses) -> None:
    assert len(alone[task]) == doubled.STEPS
    assert together[task] == pytest.approx(alone[task], abs=1e-4)


def test_one_process_weighs_and_gathers_nothing() -> None:
    rows = torch.ones(3, 2)
    assert processes() == 1
    assert share(torch.tensor([0.0, 3.0])).tolist() == [1.0, 1.0]
    assert gathered(rows) is rows
