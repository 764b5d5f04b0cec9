"""Versions on disk: a base's files around other weights, and a candidate as a service reads it.

write       network and base -> the files of a version
identified  a candidate, which has no manifest before it is published -> what a service can read
"""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from shared.accel.checkpoint import write_state
from shared.weights.manifest import MANIFEST, Card, Made, Manifest
from shared.weights.tensors import tensors
from shared.weights.verify import survey

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


@contextmanager
def identified(version: Path, model: str) -> Iterator[Path]:
    """The version with a manifest: its own, or one of a draft in a folder of links that is gone afterwards."""
    if (version / MANIFEST).exists():
        yield version
        return
    with tempfile.TemporaryDirectory(prefix="ocelli-candidate-") as name:
        folder = Path(name)
        for path in version.iterdir():
            (folder / path.name).symlink_to(path.resolve())
        card = Card(model=model, version="draft", made=Made(by="the fine-tuning job"))
        (folder / MANIFEST).write_bytes(Manifest.of(card, survey(version)).encode())
        yield folder


def _precision(version: Path) -> torch.dtype:
    """The number type of the weights."""
    first = next(iter(tensors(min(version.glob("*.safetensors"))).values()))
    return PRECISIONS.get(first.dtype, torch.float32)
