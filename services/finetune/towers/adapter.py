"""An adapter of a network of two towers, merged into its base anew.

network of the base -> as many rows of words as the merged version has -> peft's files -> their sum, as `Pupil.plain`
"""

import json
from pathlib import Path
from typing import Any

from services.finetune.towers.pupil import merged, opened
from services.finetune.towers.version import write
from services.finetune.towers.vocabulary import widen


def merge(network: Any, base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of `network`, read of the version directory `base`, with the adapter added, into `folder`."""
    text_model = network.base_model.text_model
    config = json.loads((adapter / "merged/config.json").read_text())
    new = config["text_config"]["vocab_size"] - text_model.config.vocab_size
    if new:
        widen(text_model, new)  # their values come with the adapter, which learns the rows as a whole
    write(merged(opened(network, adapter)), base, folder)
