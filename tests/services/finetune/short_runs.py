"""A few real steps of a task, and the weights before and after."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from services.finetune.errors import Stopped
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Task
from shared.accel.checkpoint import read_state
from shared.weights.store import Version

torch.set_num_threads(1)


class Disturbed(Run):
    """A run whose process is asked to stop when its first step is measured."""

    def measure(self, **figures: Any) -> None:
        super().measure(**figures)
        if figures["step"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)


@dataclass(frozen=True)
class Short:
    """A task that is taught for a few steps."""

    task: Task
    base: Version
    material: Material
    settings: JobSettings

    @classmethod
    def of(cls, task: Task, base: Version, material: Material, *, steps: int, batch: int) -> "Short":
        given: dict[str, Any] = {"evaluations": 1, "threads": 1, "device": "cpu", "precision": "float32"}
        return cls(task, base, material, JobSettings(steps=steps, batch=batch, **given))

    def taught(self, folder: Path, **changes: Any) -> Run:
        """A run in `folder` that nothing disturbs; `changes` are settings, or the `material`."""
        run, material = Run.begin(folder), changes.pop("material", self.material)
        self.task.train(self.base, material, run, self.settings.model_copy(update=changes))
        return run

    def gone_on(self, folder: Path, **changes: Any) -> Run:
        """A run that was stopped and begun again."""
        run, settings = Run.begin(folder), self.settings.model_copy(update=changes)
        with pytest.raises(Stopped, match=rf"after step [12] of {settings.steps}.*--resume"):
            self.task.train(self.base, self.material, Disturbed(folder), settings)
        self.task.train(self.base, self.material, run, settings)
        return run

    def changed(self, run: Run) -> set[str]:
        """The names of the weights that are others than the base's."""
        before, after = weights(self.base.path), weights(run.candidate)
        return {name for name, value in after.items() if not torch.equal(value, before[name])}


def weights(version: Path) -> dict[str, Tensor]:
    """The weights of a version, as float32."""
    return {name: value.float() for name, value in read_state(version / "model.safetensors").items()}


def apart(one: Run, other: Run) -> float:
    """How far the weights of two runs lie apart at most."""
    expected, found = weights(one.candidate), weights(other.candidate)
    assert expected.keys() == found.keys()
    return max(float((value - found[name]).abs().max()) for name, value in expected.items())


def tells_steps_time_and_memory(short: Short) -> None:
    """What `--dry-run` says of a run."""
    told = short.task.estimate(short.base, short.material, short.settings)
    assert told["steps"] == short.settings.steps
    assert told["seconds"] > 0
    assert told["memory_bytes"] > 10**7
