"""Which parts of a network learn: all of them, all but some, or a LoRA adapter (https://arxiv.org/abs/2106.09685).

An adapter learns beside the matrices of both towers; token rows and heads, which are few, learn as a whole. What serves
holds the sum of both, and the adapter itself is a version beside it (services/finetune/adapters.py).
"""

import copy
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

from services.finetune.errors import JobError
from services.finetune.training.rates import freeze

MATRICES = r".*\.layers\.\d+\..*\.(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"


class Pupil:
    """A network of two towers, and how it learns."""

    def __init__(self, network: nn.Module, *, rank: int | None, whole: Sequence[str], frozen: Sequence[str]) -> None:
        """An adapter of `rank` changes `network` in place; parts named `whole` learn beside it. Raises `JobError`."""
        if rank and frozen:
            raise JobError("--freeze beside --lora: an adapter leaves all but the heads as it is. Leave out --freeze.")
        network.requires_grad_(True)
        freeze(network, frozen)
        self.network: Any = network
        self._adapted = _adapted(network, rank, whole) if rank else None

    @property
    def adapter(self) -> bool:
        """Whether an adapter learns."""
        return self._adapted is not None

    def plain(self) -> Any:
        """A copy of the network as it is now, on the CPU and without an adapter: what would be served."""
        if self._adapted is None:
            return copy.deepcopy(self.network).cpu().eval()
        return merged(copy.deepcopy(self._adapted))

    def keep(self, folder: Path) -> None:
        """Write the adapter, if there is one, as peft reads it."""
        if self._adapted is not None:
            self._adapted.save_pretrained(folder)


def opened(network: Any, folder: Path) -> PeftModel:
    """The adapter in `folder` around `network`, which changes in place; raises as peft does for one of another base."""
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks for what transformers renamed
        return PeftModel.from_pretrained(network, str(folder))


def merged(adapted: PeftModel) -> Any:
    """The network on the CPU with the adapter added, in place."""
    plain: PeftModel = adapted.cpu().eval()
    return plain.merge_and_unload()


def _adapted(network: Any, rank: int, whole: Sequence[str]) -> Any:
    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=MATRICES, modules_to_save=list(whole))
    with warnings.catch_warnings(action="ignore", category=FutureWarning):  # peft asks for what transformers renamed
        return get_peft_model(network, config)
