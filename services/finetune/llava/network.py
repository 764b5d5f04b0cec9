"""A LLaVA as it is taught: read by the service's own reader, written as a version in the form of its base.

base version -> network, words, image path -> taught -> the base's files with other weights
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from services.finetune.data.examples import Source
from services.finetune.llava.rows import Batch
from services.llava import weights
from services.llava.weights import State
from shared.accel.checkpoint import write_state
from shared.accel.pixels import PixelConfig, normalise, prepare
from shared.settings import Limits
from shared.weights.manifest import MANIFEST
from shared.weights.tensors import tensors

NOT_KEPT = (MANIFEST, "golden.json", "README.md", "report.html", "report.json")  # made anew, here or by the job
PRECISIONS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}


def read(version: Path) -> State:
    """The network of a version as float32, in training mode, and all that belongs to it. Raises `RefusedWeights`."""
    state = weights.read(version, torch.float32)
    state.module.tie_weights()
    state.module.requires_grad_(True).train()
    return state


def pixels(pictures: Sequence[Source], config: PixelConfig) -> Tensor | None:
    """The pictures as serving hands them to the network, `[n, 3, h, w]`; None for no picture."""
    return prepared([picture.read() for picture in pictures], config)


def prepared(pictures: Sequence[bytes], config: PixelConfig) -> Tensor | None:
    """The same of encoded pictures."""
    if not pictures:
        return None
    limits = Limits()
    return normalise(torch.stack([prepare(each, config, limits) for each in pictures]), config)


def inputs(batch: Batch, pictures: Tensor | None) -> dict[str, Tensor]:
    """A batch in the words of transformers' `forward`."""
    made = {
        "input_ids": batch.ids,
        "labels": batch.labels,
        "position_ids": batch.positions,
        "attention_mask": batch.mask,
    }
    return made if pictures is None else made | {"pixel_values": pictures}


def write(network: Any, base: Path, folder: Path) -> None:
    """Write the files of a version: weights in the base's number type, and its other files as they are."""
    folder.mkdir(parents=True)
    for file in sorted(base.iterdir()):
        if file.is_file() and file.name not in NOT_KEPT and ".safetensors" not in file.name:
            shutil.copyfile(file, folder / file.name)
    config = json.loads((base / "config.json").read_text())
    # The reader leaves out the layers of the tower that nobody looks at; the files say so.
    config["vision_feature_layer"] = network.config.vision_feature_layer
    config.setdefault("vision_config", {})["num_hidden_layers"] = network.config.vision_config.num_hidden_layers
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    dtype = precision(base)
    state = {name: value.to(dtype) if value.is_floating_point() else value for name, value in _state(network).items()}
    write_state(state, folder / "model.safetensors")


def precision(version: Path) -> torch.dtype:
    """The number type of most of a version's weights."""
    found = [entry.dtype for file in sorted(version.glob("*.safetensors")) for entry in tensors(file).values()]
    return PRECISIONS.get(max(set(found), key=found.count), torch.float32)


def _state(network: Any) -> dict[str, Tensor]:
    state: dict[str, Tensor] = network.state_dict()
    if network.config.tie_word_embeddings:
        state.pop("lm_head.weight", None)
    return state
