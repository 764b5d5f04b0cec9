"""Vectors of texts and pictures by the very model that serves."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from services.clip.classify import Matrix
from services.clip.model import Clip, Item
from services.clip.weights import State
from services.finetune.draft import with_manifest

BATCH = 64


def served(version: Path) -> Clip:
    """The model that serves, with the weights of a version, which may lack its manifest."""
    model = Clip(torch.device("cpu"))
    with with_manifest(version, "clip") as path:
        model.use(model.read(path))
    return model


def trial(base: State, network: Any) -> Clip:
    """The model that serves, with the weights of `network`, which becomes its own."""
    model = Clip(torch.device("cpu"))
    model.use(replace(base, module=network, logit_scale=network.logit_scale.detach().exp().item()))
    return model


def vectors(model: Clip, items: Sequence[Item]) -> Matrix:
    """A vector of length one for each item, `[n, d]`."""
    batches = (items[at : at + BATCH] for at in range(0, len(items), BATCH))
    rows = [one.vector for batch in batches for one in model.predict([model.preprocess(item) for item in batch])]
    return np.stack(rows)
