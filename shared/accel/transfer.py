"""Small numbers to the device and back, with nobody waiting on the way there.

sent       host -> pinned memory -> device, in the order of the stream
Fetched    device -> pinned memory, in the order of the stream -> host, once `wait` says that they have come

A copy from or to ordinary memory would make the host wait for all that the device has still to do. On a CPU there is
nothing to copy.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


def sent(values: Sequence[Any], device: torch.device) -> Tensor:
    """Numbers, or lists of as many numbers each, as a tensor on `device`."""
    if device.type != "cuda":
        return torch.tensor(values, device=device)
    return torch.tensor(values, pin_memory=True).to(device, non_blocking=True)


class Fetched:
    """Tensors on their way from the device to the host, in the order of the stream that computes them."""

    def __init__(self, *tensors: Tensor) -> None:
        self._host = [_begun(each) for each in tensors]
        device = tensors[0].device
        self._come = torch.cuda.current_stream(device).record_event() if device.type == "cuda" else None

    def wait(self) -> list[Tensor]:
        """The tensors, once they are there."""
        if self._come is not None:
            self._come.synchronize()
        return self._host


def _begun(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True).copy_(tensor, non_blocking=True)
