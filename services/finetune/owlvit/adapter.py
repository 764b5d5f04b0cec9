"""An adapter of an OWL-ViT, merged into its base anew."""

from pathlib import Path

from services.finetune.towers import adapter as towers
from services.owlvit import weights


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of the version directory `base`, with peft's files in `adapter` added, into `folder`."""
    towers.merge(weights.read(base).pretrained.module, base, adapter, folder)
