"""The files of a Hugging Face directory that a version is made of, written anew where nobody else writes.

settings     read, freed of the chat template, written again      vocabularies   copied
weights      one file, shards or a pickle -> one model.safetensors, every tensor in its own number type
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from shared.accel.checkpoint import PICKLE, read_state, write_state
from shared.accel.pretrained import COUNTERS, INDEX, WEIGHTS, read_json
from shared.accel.screening import read_settings
from shared.serving.model import RefusedWeights
from shared.weights.digest import digest, file_sha256

CONFIG = "config.json"
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
SETTINGS = (CONFIG, *PROCESSORS, "tokenizer_config.json", "special_tokens_map.json")
VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt")
FLOATS = (torch.float32, torch.float16, torch.bfloat16)


def weight_files(source: Path) -> list[Path]:
    """The file or the shards of the weights, looked for in transformers' order. Raises `RefusedWeights`."""
    for name in (WEIGHTS, INDEX, PICKLE):
        if (source / name).exists():
            return _shards(source) if name == INDEX else [source / name]
    raise RefusedWeights(f"{source} holds no weights: they are looked for in {WEIGHTS}, {INDEX} and {PICKLE}.")


def weights_sha256(files: Sequence[Path]) -> str:
    """The SHA-256 of the one file; of several, that of the list which sha256sum prints of them."""
    if len(files) == 1:
        return file_sha256(files[0])
    listing = "".join(f"{file_sha256(file)}  {file.name}\n" for file in files)
    return digest(listing.encode()).removeprefix("sha256:")


def stage(source: Path, files: Sequence[Path], folder: Path) -> None:
    """Write to `folder` what a version holds of `source`, with the tensors of `files`. Raises `RefusedWeights`."""
    for name in SETTINGS:
        if (source / name).exists():
            (folder / name).write_text(json.dumps(read_settings(source / name), indent=2) + "\n")
    for name in VOCABULARIES:
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    write_state(_tensors(files), folder / WEIGHTS)


def _shards(source: Path) -> list[Path]:
    index = read_json(source / INDEX).get("weight_map")
    names = sorted({str(name) for name in index.values()}) if isinstance(index, dict) else []
    there = {path.name for path in source.glob("*.safetensors")}
    if missing := [name for name in names if name not in there]:
        raise RefusedWeights(f"{INDEX}: {missing[0][:80]!r} is not a safetensors file of the directory.")
    if not names:
        raise RefusedWeights(f"{INDEX}: weight_map names no file.")
    return [source / name for name in names]


def _tensors(files: Sequence[Path]) -> dict[str, Tensor]:
    """All tensors of `files` but the counters of older checkpoints, each in the number type that it has."""
    tensors: dict[str, Tensor] = {}
    for file in files:
        for name, tensor in read_state(file).items():
            if name in tensors:
                raise RefusedWeights(f"{file.name}: {name[:120]!r} is in another shard, too.")
            if tensor.is_floating_point() and tensor.dtype not in FLOATS:
                kind = str(tensor.dtype).removeprefix("torch.")
                raise RefusedWeights(
                    f"{file.name}: {name[:120]!r} is {kind}; served are float32, float16 and bfloat16. Save it as one."
                )
            tensors[name] = tensor
    return {name: tensor for name, tensor in tensors.items() if not _counts(name, tensor)}


def _counts(name: str, tensor: Tensor) -> bool:
    """Whether a tensor only numbers the positions, which modules of today do themselves."""
    return name.endswith(COUNTERS) and torch.equal(tensor.flatten().long(), torch.arange(tensor.numel()))
