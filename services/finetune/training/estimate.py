"""What a run would take: a few steps are timed, without changing anything that is kept."""

import resource
import time
from collections.abc import Mapping
from typing import Any

import torch

from services.finetune.training.plan import Plan
from services.finetune.training.teacher import Lesson

TIMED = 2  # steps, after one that warms up


def estimate(lesson: Lesson, plan: Plan) -> Mapping[str, Any]:
    """Steps, examples, seconds of training, and bytes of memory at the highest; evaluations come on top."""
    module = lesson.module.to(plan.device).train()
    for number in range(1 + TIMED):
        if number == 1:
            begun = time.monotonic()
        _step(lesson, plan, number)
    seconds = (time.monotonic() - begun) / TIMED * plan.steps
    moments = 2 * sum(p.numel() * p.element_size() for p in module.parameters() if p.requires_grad)
    return {
        "steps": plan.steps,
        "examples": plan.examples,
        "seconds": round(seconds, 1),
        "memory_bytes": _peak(plan.device) + moments,
    }


def _step(lesson: Lesson, plan: Plan, number: int) -> None:
    size = plan.batch * plan.accumulate
    for first in range(number * size, (number + 1) * size, plan.batch):
        batch = lesson.collate([lesson.examples[i % len(lesson.examples)] for i in range(first, first + plan.batch)])
        with torch.autocast(plan.device.type, plan.dtype, enabled=plan.dtype != torch.float32):
            loss = lesson.module(**_moved(batch, plan.device))["loss"]
        loss.backward()
    lesson.module.zero_grad()


def _moved(value: Any, device: torch.device) -> Any:
    """Every tensor of nested lists and mappings on the device."""
    if isinstance(value, torch.Tensor):
        return value.to(device)
    if isinstance(value, Mapping):
        return {name: _moved(one, device) for name, one in value.items()}
    return [_moved(one, device) for one in value] if isinstance(value, list) else value


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
