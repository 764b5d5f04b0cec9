"""The number type of a network: float32 is the reference, bfloat16 is taken where it pays.

On a CPU the flags lie (they stay up where bfloat16 runs slower than float32), so `auto` times one linear layer of a
vision transformer in both types instead; it takes less than half a second, once.
"""

import time
from functools import cache
from itertools import pairwise

import torch
from torch import nn

PAYS = 1.3  # times as fast as float32: below that, the loss of digits buys nothing
ROWS = (50, 400)  # one picture of 50 patches, and a batch of eight
ROUNDS = 5


def choose_dtype(setting: str, device: torch.device) -> torch.dtype:
    """The type that `auto`, `float32` or `bfloat16` means on `device`."""
    if setting != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[setting]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= (8, 0) else torch.float32
    return torch.bfloat16 if min(cpu_gains()) >= PAYS else torch.float32


@cache
def cpu_gains() -> tuple[float, ...]:
    """How many times as fast as float32 a 768x3072 linear layer runs in bfloat16, for each of `ROWS`."""
    layers = [nn.Linear(768, 3072, dtype=dtype) for dtype in (torch.float32, torch.bfloat16)]
    return tuple(_gain(layers, rows) for rows in ROWS)


def _gain(layers: list[nn.Linear], rows: int) -> float:
    """The ratio of the best times: a neighbour on the same core makes a round slower, never faster."""
    inputs = [torch.randn(rows, 768, dtype=layer.weight.dtype) for layer in layers]
    best = [float("inf")] * len(layers)
    with torch.inference_mode():
        for _ in range(ROUNDS):
            marks = [time.perf_counter()]
            for layer, features in zip(layers, inputs, strict=True):
                layer(features)
                marks.append(time.perf_counter())
            best = [min(old, end - begin) for old, (begin, end) in zip(best, pairwise(marks), strict=True)]
    return best[0] / best[1]
