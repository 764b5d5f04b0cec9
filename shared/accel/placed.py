"""Networks on a device, and on a CPU their linear layers as it multiplies them.

weight `[out, in]` as before, stored column by column -> the same products; few rows take half the time, and a tower's
64 rows two thirds, since the library need not turn the matrix around at each call.
"""

from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def placed(module: Network, device: torch.device) -> Network:
    """`module` on `device`. Who shares a weight goes on sharing it."""
    module.to(device)
    for each in module.modules():
        if isinstance(each, nn.Linear):
            each.weight.data = turned(each.weight.data)
    return module


def turned(weight: Tensor) -> Tensor:
    """`weight` `[out, in]`, stored as `[in, out]` where that pays: on a CPU, in float32."""
    pays = weight.device.type == "cpu" and weight.dtype == torch.float32
    return weight.t().contiguous().t() if pays else weight
