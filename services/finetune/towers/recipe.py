"""How fast CLIP and OWL-ViT learn, and for how long.

Networks that are as small as the demo's learn by Muon, in a hundred steps; those of the usual size by AdamW and slowly,
or they lose what they were trained for (https://arxiv.org/abs/2212.06138).
"""

from torch import nn

from services.finetune.training.plan import Defaults
from services.finetune.training.rates import Rates

DEFAULTS = Defaults(batch=64, lr=2e-3, epochs=6, least_steps=40, warm_up=20)
SMALL = 20_000_000  # parameters
SLOWLY = 1e-5  # rate of a network of the usual size, whose adapter learns ten times as fast


def rates(network: nn.Module, *, adapter: bool) -> Rates:
    """The rates for a network, or for the adapter beside it."""
    if sum(parameter.numel() for parameter in network.parameters()) > SMALL:
        return Rates(adamw={"lora_": 10 * SLOWLY, "": SLOWLY})
    if adapter:
        return Rates(adamw={"lora_": 4e-3, "": 1e-3})
    return Rates(muon={".layers.": DEFAULTS.lr}, adamw={"": 7e-4})
