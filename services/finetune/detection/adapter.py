"""LoRA (https://arxiv.org/abs/2106.09685) on the filters and matrices of a detector, by peft.

The last layers, which are few and tell the classes apart, learn as a whole beside it; norms stay as they are.
"""

import copy
import warnings

from peft import PeftModel, get_peft_model
from peft.tuners.lora import LoraConfig
from torch import nn

# Of SSD, and of the R-CNNs.
HEADS = ("head.classification_head", "head.regression_head", "roi_heads.box_predictor", "roi_heads.mask_predictor")


def adapt(network: nn.Module, rank: int) -> PeftModel:
    """Put an adapter of this rank into `network`, in place; what comes back keeps it and merges it."""
    layers = [name for name, layer in network.named_modules() if _adaptable(layer) and not name.startswith(HEADS)]
    heads = [name for name, _ in network.named_modules() if name in HEADS]
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=layers, modules_to_save=heads)
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks for what transformers renamed
        return get_peft_model(network, config)


def merged(adapter: PeftModel) -> nn.Module:
    """A copy of the network with its weights changed by the adapter, and without it."""
    plain: nn.Module = copy.deepcopy(adapter).merge_and_unload()
    return plain


def _adaptable(layer: nn.Module) -> bool:
    """Filters and matrices; a filter of a single channel has no rank to reduce."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
