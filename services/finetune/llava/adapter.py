"""LoRA (https://arxiv.org/abs/2106.09685) on the language model, the projector and the tower of a LLaVA, by peft.

network -> adapter around it, rows of new tokens beside -> taught -> kept in the run's folder -> merged into the network
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from services.finetune.errors import JobError
from services.finetune.llava import network

# transformers' names of the linear layers in the three parts
LAYERS = r"(?:language_model\.layers\.\d+\.|vision_tower\.encoder\.layers\.\d+\.|multi_modal_projector\.).+"


def adapt(plain: Any, *, rank: int, freeze: Sequence[str], rows: Sequence[int]) -> PeftModel:
    """An adapter of this rank on all linear layers but those that begin with `freeze`; `rows` learn as they are.

    Raises `JobError` where nothing is left to adapt.
    """
    modules = {name: module for name, module in plain.named_modules() if isinstance(module, nn.Linear)}
    chosen = [name for name in modules if re.search(LAYERS, name) and not name.startswith(tuple(freeze))]
    if not chosen:
        raise JobError("--freeze leaves nothing that --lora could adapt. Name fewer parts.")
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        target_modules=chosen,
        trainable_token_indices={"embed_tokens": list(rows)} if rows else None,
    )
    with warnings.catch_warnings(
        action="ignore", category=FutureWarning
    ):  # peft reads a name that transformers gives up
        return cast(PeftModel, get_peft_model(plain, config))


def merged(adapted: PeftModel, folder: Path) -> Any:
    """Keep the adapter in `folder`; returns the network with its weights changed by it."""
    adapted.save_pretrained(str(folder))
    return adapted.cpu().merge_and_unload()  # where a later merge adds them too, to the same last bit


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of the version directory `base`, with peft's files in `adapter` added, into `folder`."""
    plain = network.read(base).module
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # as above
        adapted = PeftModel.from_pretrained(plain, str(adapter))
    network.write(adapted.merge_and_unload(), base, folder)
