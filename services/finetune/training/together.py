"""What several processes do as one: a step of all of them is the step of one process with their whole batch.

count -> share()      what the mean loss of a process weighs, so that the mean over processes is the mean over all items
rows  -> gathered()   the rows of all processes, whose gradients find the way back to the process that they are of
"""

from typing import Any

import torch
from torch import Tensor, distributed
from torch.autograd.function import once_differentiable


def processes() -> int:
    """How many there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def total(count: Tensor) -> Tensor:
    """The sum over all processes, of each number by itself."""
    summed = count.clone()
    if processes() > 1:
        distributed.all_reduce(summed)
    return summed


def share(count: Tensor) -> Tensor:
    """The factors for means over so many items each, where a mean over none is a sum over none, divided by one."""
    return processes() * count.clamp(min=1) / total(count).clamp(min=1)


def gathered(rows: Tensor) -> Tensor:
    """[n, …] of each process, as many in all of them -> [processes * n, …]."""
    if processes() == 1:
        return rows
    found: Tensor = _Gather.apply(rows)
    return found


class _Gather(torch.autograd.Function):
    """all_gather; a gradient is the sum of what all processes say of a row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        parts = [torch.empty_like(rows) for _ in range(processes())]
        distributed.all_gather(parts, rows.contiguous())
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient).chunk(processes())[distributed.get_rank()]
