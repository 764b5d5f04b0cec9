import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from services.finetune.errors import Stopped
from services.finetune.training import checkpoints
from tests.services.finetune.training.lessons import Curve, learn

ROOT = Path(__file__).resolve().parents[4]
COMMAND = ["tests.services.finetune.training.lessons"]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, *command]
    return subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def metrics(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def losses(folder: Path) -> list[float]:
    return [line["loss"] for line in metrics(folder) if "loss" in line]


def weights(module: Curve) -> torch.Tensor:
    return torch.cat([value.flatten() for value in module.state_dict().values()])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Curve, Path]:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    return learn(folder), folder


def test_a_killed_run_goes_on_and_ends_as_if_nothing_had_happened(whole: tuple[Curve, Path], tmp_path: Path) -> None:
    killed = run("-m", *COMMAND, str(tmp_path), "kill=17")
    assert killed.returncode == -9, killed.stderr
    assert checkpoints.step(tmp_path / "checkpoints") == 10

    module = learn(tmp_path)

    assert module.calls == 30  # steps 11 to 40 alone
    assert losses(tmp_path) == pytest.approx(losses(whole[1]), rel=1e-5)  # those of 11 to 16 are there once
    assert torch.allclose(weights(module), weights(whole[0]), rtol=1e-5)


def test_sigterm_finishes_the_step_keeps_it_and_says_how_to_go_on(whole: tuple[Curve, Path], tmp_path: Path) -> None:
    with pytest.raises(Stopped, match=rf"after step 17 of 40.*--resume {tmp_path}"):
        learn(tmp_path, term=17)
    assert checkpoints.step(tmp_path / "checkpoints") == 17

    module = learn(tmp_path)

    assert module.calls == 23
    assert torch.equal(weights(module), weights(whole[0]))
    assert losses(tmp_path) == losses(whole[1])


def test_a_finished_run_has_nothing_left_to_learn(whole: tuple[Curve, Path], tmp_path: Path) -> None:
    folder = shutil.copytree(whole[1], tmp_path / "copy")
    module = learn(folder)

    assert module.calls == 0
    assert torch.equal(weights(module), weights(whole[0]))


def test_gradients_that_are_added_up_equal_those_of_a_larger_batch(whole: tuple[Curve, Path], tmp_path: Path) -> None:
    module = learn(tmp_path, batch=4, accumulate=2)
    assert torch.allclose(weights(module), weights(whole[0]), atol=1e-4)


def test_two_processes_learn_what_one_does_with_twice_the_batch_and_stop_together(
    whole: tuple[Curve, Path], tmp_path: Path
) -> None:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--rdzv-backend=c10d"]
    command = [*launcher, "--rdzv-endpoint=127.0.0.1:0", "-m", *COMMAND, str(tmp_path), "batch=4"]
    stopped = run(*command, "term=17")  # to the second of them
    assert stopped.stdout.count("Stopped after step 17 of 40") == 2, stopped.stderr
    resumed = run(*command)
    assert resumed.returncode == 0, resumed.stderr

    module = learn(tmp_path, batch=8)  # reads what the two have left

    assert module.calls == 0
    assert torch.allclose(weights(module), weights(whole[0]), atol=1e-4)
    assert losses(tmp_path) == pytest.approx(losses(whole[1]), rel=1e-3)


def test_a_checkpoint_that_a_kill_cut_off_is_passed_over(tmp_path: Path) -> None:
    for number, state in ((10, '{"global_step": 10}'), (20, '{"global_st')):
        (tmp_path / f"checkpoint-{number}").mkdir()
        (tmp_path / f"checkpoint-{number}" / "trainer_state.json").write_text(state)
    (tmp_path / "checkpoint-30").mkdir()

    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-10"
    assert checkpoints.latest(tmp_path / "nothing") is None
    assert checkpoints.step(tmp_path / "nothing") == 0
