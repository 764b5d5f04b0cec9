"""A torch module compiled for this CPU, its weights baked in: it needs a C++ compiler, and minutes the first time."""

import copy

import torch
from torch import Tensor, nn
from torch._inductor import config

from shared.accel.backends import Tower


def compiled(module: nn.Module, examples: Tensor, *, dtype: torch.dtype, threads: int) -> Tower:
    """The float32 `module` in `dtype`, compiled for batches of one and, by `examples`, for those of any other size.

    It answers in torch's inference mode only, and with the threads that torch has.
    """
    narrowed = module if dtype == torch.float32 else copy.deepcopy(module).to(dtype)
    # fullgraph: a network that does not compile as a whole is an error, and never runs uncompiled in silence.
    run: Tower = torch.compile(narrowed, dynamic=True, fullgraph=True)
    # Freezing is read from here while the network is traced; with more than one compiling process, they would stay.
    with config.patch(freezing=True, compile_threads=1), torch.inference_mode():
        for size in (1, len(examples)):
            run(examples[:size].clone())  # a tensor of this mode, as all that come later
    return run
