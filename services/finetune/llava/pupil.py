"""A LLaVA as the Trainer holds it, whose checkpoints have each tensor once and by its own name.

transformers writes a LLaVA under the names of the first release, does not find them when it goes on from a checkpoint,
and goes on from other weights without a word.
"""

from typing import Any

from torch import nn


class Pupil(nn.Module):
    """All weights of a network, tied ones once."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.model = network.model
        self.lm_head = None if network.config.tie_word_embeddings else network.lm_head
        self._whole = (network,)  # in a tuple, so that its weights are not listed again

    def forward(self, **batch: Any) -> Any:
        """The network's own output, with `loss`."""
        return self._whole[0](**batch, use_cache=False)

    def activation_checkpointing_enable(self) -> None:
        """Compute activations again instead of keeping them."""
        self._whole[0].activation_checkpointing_enable()
