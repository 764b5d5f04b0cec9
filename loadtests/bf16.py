"""Whether this CPU computes in bfloat16 by itself: one linear layer of a vision transformer, timed in both types."""

import time
from functools import partial

PAYS = 1.3  # below this, a service stays with float32
ROWS = (50, 400)
ROUNDS = 7


def gain() -> float:
    """How many times as fast as float32 a 768x3072 linear layer runs in bfloat16, at its worst size."""
    import torch

    torch.set_num_threads(1)
    with torch.inference_mode():
        return min(_seconds(rows, torch.float32) / _seconds(rows, torch.bfloat16) for rows in ROWS)


def _seconds(rows: int, dtype: object) -> float:
    """The best of a few runs: a neighbour makes a run slower, never faster."""
    import torch

    make = partial(torch.nn.Linear, 768, 3072)
    layer, features = make().to(dtype), torch.randn(rows, 768).to(dtype)  # type: ignore[call-overload]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        layer(features)
        best = min(best, time.perf_counter() - began)
    return best
