"""The training loop of the demo detectors: fresh scenes at every step, AdamW, one rise and cosine fall of the rate.

    batch -> losses of the network -> backward -> clip -> step

torchvision's detectors compute their losses themselves. Batch norm learns its statistics here (nothing is frozen).
"""

import time
from dataclasses import dataclass

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from services.finetune.demo.detector_batches import batch
from services.finetune.demo.progress import Progress
from services.finetune.demo.scenes import World


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast to learn."""

    steps: int
    pictures: int = 8  # of one batch
    rate: float = 1e-3  # at its highest
    warm_up: float = 0.05  # share of the steps
    decay: float = 0.01
    clip: float = 5.0


def train(model: nn.Module, world: World, schedule: Schedule, *, seed: int) -> float:
    """Train `model` in place and leave it in eval mode; returns the CPU seconds that it took."""
    begin = time.process_time()
    # Convolutions on the CPU are a fifth faster on this layout; the stored weights do not show it.
    model.to(memory_format=torch.channels_last).train()
    optimizer = AdamW(_groups(model, schedule.decay), lr=schedule.rate)
    rates = OneCycleLR(optimizer, schedule.rate, total_steps=schedule.steps, pct_start=schedule.warm_up)
    progress, mean = Progress("train", schedule.steps), 0.0
    for step in range(schedule.steps):
        fresh = batch(world, seed=seed, number=step, count=schedule.pictures)
        loss = torch.stack(list(model(fresh.pictures, fresh.targets).values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        rates.step()
        mean += (loss.item() - mean) * max(0.02, 1 / (step + 1))
        progress.tell(step + 1, f"loss {mean:.3f}")
    model.eval()
    return time.process_time() - begin


def _groups(model: nn.Module, decay: float) -> list[dict[str, object]]:
    """Filters and matrices decay; norms and biases do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
