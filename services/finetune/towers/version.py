"""A base's files around other weights: the version that is made of it."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from shared.accel.checkpoint import write_state
from shared.weights.manifest import MANIFEST
from shared.weights.tensors import tensors

MADE_ANEW = (MANIFEST, "golden", "golden.json", "README.md", "space.json", "report.html", "report.json")
PRECISIONS = {"F16": torch.float16, "BF16": torch.bfloat16}


def write(network: Any, base: Path, folder: Path) -> None:
    """Write `network` with the base's configuration, preprocessing and defaults; weights in the base's number type."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in sorted(base.iterdir()):
        if file.is_file() and file.name not in MADE_ANEW and ".safetensors" not in file.name:
            shutil.copyfile(file, folder / file.name)
    dtype = _precision(base)
    state = network.state_dict()
    write_state(
        {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}, folder / "model.safetensors"
    )


def change_config(folder: Path, part: str, **fields: Any) -> None:
    """Set fields of a part of config.json."""
    file = folder / "config.json"
    config = json.loads(file.read_text())
    config[part] |= fields
    file.write_text(json.dumps(config, indent=2) + "\n")


def _precision(version: Path) -> torch.dtype:
    """The number type of the weights."""
    first = next(iter(tensors(min(version.glob("*.safetensors"))).values()))
    return PRECISIONS.get(first.dtype, torch.float32)
