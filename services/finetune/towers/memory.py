"""The base as it was before it was taught: what a pupil says of what is known is held to what the base says of it.

So vectors that callers have stored keep their meaning, and what nobody shows again is not forgotten.
"""

import copy
from typing import Any

import torch
from torch import nn


class Memory:
    """A network that never changes. It is no module, so that neither checkpoints nor optimizers take it for one."""

    def __init__(self, network: nn.Module) -> None:
        """Copies `network` as it is now."""
        self._network = copy.deepcopy(network).eval().requires_grad_(False)

    def on(self, device: torch.device) -> Any:
        """The network, on the device where the pupil is."""
        return self._network.to(device)
