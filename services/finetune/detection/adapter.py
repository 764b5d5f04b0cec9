"""LoRA (https://arxiv.org/abs/2106.09685) on the filters and matrices of a detector, by peft.

The last layers, which are few and tell the classes apart, learn as a whole beside it; norms stay as they are.
"""

import copy
import warnings
from pathlib import Path

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


def opened(network: nn.Module, folder: Path) -> PeftModel:
    """The adapter in `folder` around `network`, which changes in place."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # as above
        return PeftModel.from_pretrained(network, str(folder))


def merged(adapter: PeftModel) -> nn.Module:
    """A copy of the network on the CPU with its weights changed by the adapter, and without it."""
    plain: nn.Module = copy.deepcopy(adapter).cpu().merge_and_unload()
    return plain


def _adaptable(layer: nn.Module) -> bool:
    """Filters and matrices; a filter of a single channel has no rank to reduce."""
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
