"""Where a training goes on after it was broken off: model, learner, stage and step, in one file."""

import sys
from pathlib import Path

import torch
from torch import nn

from services.finetune.demo.learner import Learner


class Checkpoint:
    """The latest state of one training; an older one is overwritten."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, stage: int, step: int, model: nn.Module, learner: Learner) -> None:
        """Keep what the first `step` steps of a stage have made; the file is whole at any time."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._file.with_suffix(".new")
        torch.save({"stage": stage, "step": step, "model": model.state_dict(), "learner": learner.state()}, fresh)
        fresh.replace(self._file)

    def restore(self, stage: int, model: nn.Module, learner: Learner) -> int:
        """Load what was kept of a stage; returns how many of its steps are behind, more than any for a past stage."""
        if not self._file.exists():
            return 0
        kept = torch.load(self._file, weights_only=True)
        if kept["stage"] != stage:
            return 0 if kept["stage"] < stage else sys.maxsize
        model.load_state_dict(kept["model"])
        learner.resume(kept["learner"])
        return int(kept["step"])
