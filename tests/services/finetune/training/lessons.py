"""A lesson that takes a second: a small network learns a curve. As a command, so that it can be killed or doubled:

python -m tests.services.finetune.training.lessons FOLDER [steps=40] [batch=8] [kill=17] [term=17]
"""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from services.finetune.errors import Stopped
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import Defaults, Plan, plan
from services.finetune.training.rates import Rates
from services.finetune.training.teacher import Lesson, teach

DEFAULTS = Defaults(batch=8, lr=1e-2, epochs=2)
NEW = [number / 50 for number in range(60)]
OLD = [-number / 50 for number in range(30)]
RATES = Rates(adamw={"": 3e-2}, muon={"hidden": 1e-1})
STOPPED = 75


class Curve(nn.Module):
    """Learns y = sin 2x; may send its own process, the last of several, a signal at a call that is counted from 1."""

    def __init__(self, kill: int = 0, term: int = 0) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"hidden": nn.Linear(2, 32), "out": nn.Linear(32, 1)})
        self._signals = {kill: signal.SIGKILL, term: signal.SIGTERM}
        self.calls = 0

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        if self.calls in self._signals and os.environ.get("RANK", "1") == "1":
            os.kill(os.getpid(), self._signals[self.calls])
        return {"loss": (self.curve(x) - torch.sin(2 * x[:, 0])).square().mean()}

    def curve(self, x: Tensor) -> Tensor:
        """[n, 2] -> [n]."""
        found: Tensor = self.net["out"](torch.tanh(self.net["hidden"](x)))[:, 0]
        return found


def make(x: float, rng: Random) -> Tensor:
    """The abscissa, and noise from both sources of randomness: [2]."""
    return torch.tensor([x, 0.05 * rng.random()]) + 0.01 * torch.rand(2)


def collate(examples: list[Tensor]) -> dict[str, Any]:
    return {"x": torch.stack(examples)}


def lesson(module: Curve, plan: Plan) -> Lesson:
    """The curve, judged on a few points by a score that rises as the error falls."""
    points = torch.stack([torch.linspace(-0.6, 1.2, 40), torch.zeros(40)], dim=1)

    def judge() -> Mapping[str, float]:
        with torch.no_grad():
            return {"fit": 1 - (module.curve(points) - torch.sin(2 * points[:, 0])).square().mean().item()}

    mixture = Mixture(make, (NEW, OLD), length=plan.examples, seed=plan.seed, step=plan.step_examples)
    return Lesson(module, mixture, collate, RATES, judge, "fit")


def settings(**given: Any) -> JobSettings:
    fields: dict[str, Any] = {"steps": 40, "precision": "float32", "threads": 1, "device": "cpu"}
    return JobSettings(**fields | given)


def learn(folder: Path, *, kill: int = 0, term: int = 0, **given: Any) -> Curve:
    """Train in a folder, from where the last one there was broken off."""
    torch.manual_seed(0)
    module = Curve(kill, term)
    planned = plan(settings(**given), DEFAULTS, new=len(NEW), replay=len(OLD))
    folder.mkdir(parents=True, exist_ok=True)
    teach(lesson(module, planned), planned, Run(folder))
    return module


if __name__ == "__main__":
    options = {name: int(value) for name, value in (pair.split("=") for pair in sys.argv[2:])}
    try:
        learn(Path(sys.argv[1]), **options)
    except Stopped as stopped:
        print(stopped)
        sys.exit(STOPPED)
