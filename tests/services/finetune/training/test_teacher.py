import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from services.finetune.errors import JobError
from services.finetune.run import Run
from services.finetune.training.estimate import estimate
from services.finetune.training.plan import plan
from services.finetune.training.teacher import teach
from shared.accel.checkpoint import read_state
from tests.services.finetune.training.lessons import DEFAULTS, NEW, OLD, Curve, learn, lesson, settings

HANDLERS = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}  # before any training


def measured(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 40 steps, from beginning to end."""
    folder = tmp_path_factory.mktemp("run")
    learn(folder)
    return folder


def test_the_loss_of_every_step_is_kept_with_its_rate(folder: Path) -> None:
    lines = [line for line in measured(folder) if "loss" in line]

    assert [line["step"] for line in lines] == list(range(1, 41))
    assert sum(line["loss"] for line in lines[-5:]) < sum(line["loss"] for line in lines[:5]) / 3
    assert lines[-1]["lr"] < lines[6]["lr"] / 20
    assert all(line["grad_norm"] > 0 for line in lines)


def test_it_is_judged_as_often_as_the_settings_say(folder: Path) -> None:
    lines = [line for line in measured(folder) if "score" in line]

    assert [line["step"] for line in lines] == [10, 20, 30, 40]
    assert lines[-1]["score"] == lines[-1]["fit"] > lines[0]["fit"]


def test_curves_for_tensorboard_lie_beside(folder: Path) -> None:
    assert list((folder / "tensorboard").glob("events.*"))


def test_the_module_ends_with_the_weights_that_were_judged_best(tmp_path: Path) -> None:
    module = learn(tmp_path, evaluations=8)
    scores = {line["step"]: line["score"] for line in measured(tmp_path) if "score" in line}
    best = max(scores, key=scores.__getitem__)
    weights = read_state(tmp_path / "checkpoints" / f"checkpoint-{best}" / "model.safetensors")

    assert all(torch.equal(weights[name], value) for name, value in module.state_dict().items())


def test_it_stops_early_when_the_score_no_longer_rises(tmp_path: Path) -> None:
    learn(tmp_path, lr=1e-9, evaluations=20, patience=2)
    assert [line["step"] for line in measured(tmp_path) if "score" in line][-1] < 40


def test_progress_is_said_in_whole_lines_and_not_for_every_step(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learn(tmp_path)
    said = capsys.readouterr().out.splitlines()

    assert "step 40: fit" in said[-1]
    assert len(said) < 12
    assert not any("{" in line for line in said)


def test_the_handlers_of_signals_are_as_before_when_it_is_over(folder: Path) -> None:
    assert {number: signal.getsignal(number) for number in HANDLERS} == HANDLERS


def test_checkpointing_is_refused_where_the_network_cannot_do_it(tmp_path: Path) -> None:
    planned = plan(settings(checkpointing=True), DEFAULTS, new=1, replay=0)
    with pytest.raises(JobError, match="Use a smaller --batch"):
        teach(lesson(Curve(), planned), planned, Run(tmp_path))


def test_an_estimate_tells_steps_time_and_memory_and_moves_no_weight() -> None:
    planned = plan(settings(steps=1000), DEFAULTS, new=len(NEW), replay=len(OLD))
    module = Curve()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    told = estimate(lesson(module, planned), planned)

    assert told["steps"] == 1000
    assert told["examples"] == 8000
    assert 0 < told["seconds"] < 60
    assert told["memory_bytes"] > 10**7
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
