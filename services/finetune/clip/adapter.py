"""An adapter of a CLIP, merged into its base anew."""

from pathlib import Path

import torch

from services.clip import weights
from services.finetune.towers import adapter as towers


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of the version directory `base`, with peft's files in `adapter` added, into `folder`."""
    towers.merge(weights.read(base, torch.float32).module, base, adapter, folder)
