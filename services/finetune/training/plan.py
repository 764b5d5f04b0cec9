"""How long, how fast and where a run trains: the settings, over what the task takes on its own.

Defaults + JobSettings + number of examples -> plan() -> Plan
"""

import os
from dataclasses import dataclass
from math import ceil

import torch

from services.finetune.errors import JobError
from services.finetune.settings import JobSettings
from shared.accel.device import DeviceUnavailable, choose
from shared.accel.dtype import choose_dtype


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a task takes where the settings say nothing; `lr` is what its `Rates` are written for."""

    batch: int
    lr: float
    epochs: float
    least_steps: int = 1  # so that a handful of examples is gone through often enough
    warm_up: int = 5  # steps
    clip: float = 1.0  # longest gradient


@dataclass(frozen=True, slots=True)
class Plan:
    """One training run; `batch` is that of one process, `pace` multiplies the rates of all parameters."""

    steps: int
    batch: int
    accumulate: int
    processes: int
    pace: float
    warm_up: int
    clip: float
    seed: int
    evaluations: int
    patience: int | None
    device: torch.device
    dtype: torch.dtype
    checkpointing: bool

    @property
    def step_examples(self) -> int:
        """Examples of one step, over all processes."""
        return self.batch * self.accumulate * self.processes

    @property
    def examples(self) -> int:
        """Examples of the whole run, each time that one is seen counted."""
        return self.steps * self.step_examples

    @property
    def period(self) -> int:
        """Steps from one evaluation, and one checkpoint, to the next."""
        return ceil(self.steps / min(self.evaluations, self.steps))


def plan(settings: JobSettings, defaults: Defaults, *, new: int, replay: int) -> Plan:
    """The plan for `new` examples with `replay` old ones beside them.

    An epoch is once through the new examples; with replay they are half of each step. Raises `JobError`.
    """
    batch, processes = settings.batch or defaults.batch, int(os.environ.get("WORLD_SIZE", "1"))
    per_step = batch * settings.accumulate * processes * (0.5 if replay else 1)
    least = defaults.least_steps if settings.epochs is None else 1
    steps = settings.steps or max(least, ceil((settings.epochs or defaults.epochs) * new / per_step))
    device = _device(settings)
    return Plan(
        steps=steps,
        batch=batch,
        accumulate=settings.accumulate,
        processes=processes,
        pace=(settings.lr or defaults.lr) / defaults.lr,
        warm_up=min(defaults.warm_up, steps - 1),
        clip=defaults.clip,
        seed=settings.seed,
        evaluations=settings.evaluations,
        patience=settings.patience,
        device=device,
        dtype=choose_dtype(settings.precision, device),
        checkpointing=settings.checkpointing,
    )


def _device(settings: JobSettings) -> torch.device:
    try:
        device = choose(settings.device, settings.threads)
    except DeviceUnavailable as error:
        raise JobError(str(error)) from error
    if device.type == "cuda" and device.index:
        raise JobError(f"--device {device}: set CUDA_VISIBLE_DEVICES={device.index} and --device cuda instead.")
    return device
