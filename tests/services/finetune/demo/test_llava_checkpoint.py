from pathlib import Path

import torch
from torch import nn

from services.finetune.demo.learner import Learner, Rates
from services.finetune.demo.llava_checkpoint import Checkpoint

RATES = Rates(muon={"": 1e-2}, adam={"": 1e-2})


def learning() -> tuple[nn.Module, Learner]:
    net = nn.ModuleDict({"layers": nn.ModuleDict({"a": nn.Linear(4, 4)}), "out": nn.Linear(4, 1)})
    return net, Learner(nn.ModuleDict({"x": net}), RATES, steps=10)


def test_a_training_goes_on_where_its_checkpoint_was_written(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "work" / "run.checkpoint")
    net, learner = learning()
    assert checkpoint.restore(0, net, learner) == 0
    checkpoint.write(0, 7, net, learner)
    other, its = learning()

    assert checkpoint.restore(0, other, its) == 7
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in other.state_dict().items())


def test_a_stage_that_is_over_is_skipped_and_one_that_has_not_begun_begins(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    checkpoint.write(1, 3, *learning())

    assert checkpoint.restore(0, *learning()) > 10**9
    assert checkpoint.restore(2, *learning()) == 0


def test_only_the_latest_file_is_left(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "run.checkpoint")
    for step in (1, 2):
        checkpoint.write(0, step, *learning())
    assert [path.name for path in tmp_path.iterdir()] == ["run.checkpoint"]
