"""A version directory in Hugging Face layout -> a transformers module in host memory, as float32.

config.json -> the class of our own table, never one that the files name   no hub, no remote code
            -> built on the meta device: names and shapes of its tensors, before any memory is taken
*.safetensors, in one file or by index -> held against those -> into the module
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.initialization import no_init_weights

from shared.accel.checkpoint import read_state
from shared.serving.model import RefusedWeights

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
# Older checkpoints carry these counters 0, 1, 2, … as tensors; modules of today make them themselves.
COUNTERS = ".position_ids"
# What the config classes and the modules raise on values that do not fit together: no single error.
UNBUILDABLE = (
    StrictDataclassError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
)

_building = threading.Lock()  # transformers switches initialisation off for the whole process, not for a thread


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A module with its weights, ready for inference; `config` is transformers', `fields` the config.json as it is."""

    module: nn.Module
    config: Any
    fields: Mapping[str, Any]


def read_pretrained(
    path: Path, *, architectures: Mapping[str, type[PreTrainedModel]], renames: Mapping[str, str] = MappingProxyType({})
) -> Pretrained:
    """Read a version directory as the class that `architectures` gives for its `model_type`.

    `renames` tells what older checkpoints call the beginnings of tensor names, the first that fits counts.

    Raises `RefusedWeights` unless the tensors are the architecture's by name and shape and all finite.
    """
    fields = read_json(path / "config.json")
    architecture = architectures.get(str(fields.get("model_type")))
    if architecture is None:
        known = ", ".join(architectures)
        raise RefusedWeights(f"config.json: model_type {fields.get('model_type')!r} is not served here, only {known}.")
    if _asks_for_code(fields):
        raise RefusedWeights("config.json names code of its own (auto_map), which is never run. Remove the entry.")
    config = _config(architecture, fields)
    tensors = _tied(architecture, config, {_named(name, renames): value for name, value in _tensors(path).items()})
    _check(tensors, _build(architecture, config, "meta").state_dict())
    module = _build(architecture, config, "cpu")
    module.load_state_dict(tensors, assign=True)
    return Pretrained(module.requires_grad_(False).eval(), config, fields)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a version directory. Raises `RefusedWeights` where there is none."""
    try:
        fields = json.loads(path.read_bytes())
    except OSError as error:
        raise RefusedWeights(f"{path.name} is missing, or cannot be read.") from error
    except (ValueError, RecursionError) as error:
        raise RefusedWeights(f"{path.name} is not JSON.") from error
    if not isinstance(fields, dict):
        raise RefusedWeights(f"{path.name} is not a JSON object.")
    return fields


def _asks_for_code(fields: Mapping[str, Any]) -> bool:
    return "auto_map" in fields or any(_asks_for_code(value) for value in fields.values() if isinstance(value, dict))


def _config(architecture: type[PreTrainedModel], fields: dict[str, Any]) -> PreTrainedConfig:
    assert architecture.config_class is not None
    try:
        config: PreTrainedConfig = architecture.config_class.from_dict(fields)
    except UNBUILDABLE as error:
        raise RefusedWeights(f"config.json is not one of a {architecture.__name__}.") from error
    return config


def _build(architecture: type[PreTrainedModel], config: PreTrainedConfig, device: str) -> nn.Module:
    """The module with no values in its parameters: on the CPU it takes memory only as they are written."""
    try:
        with _building, no_init_weights(), torch.device(device):
            return architecture(config)
    except UNBUILDABLE as error:
        raise RefusedWeights(f"No {architecture.__name__} can be built from config.json.") from error


def _tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of the version, as float32 where it holds fractions."""
    tensors: dict[str, Tensor] = {}
    for name in _shards(path):
        for key, tensor in read_state(path / name).items():
            tensors[key] = tensor.float() if tensor.is_floating_point() else tensor
    return {name: tensor for name, tensor in tensors.items() if not name.endswith(COUNTERS)}


def _named(name: str, renames: Mapping[str, str]) -> str:
    old = next((old for old in renames if name.startswith(old)), None)
    return name if old is None else renames[old] + name.removeprefix(old)


def _tied(architecture: type[PreTrainedModel], config: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with those that a checkpoint leaves out since they are others of its own."""
    keys = architecture._tied_weights_keys
    if getattr(config, "tie_word_embeddings", False) and isinstance(keys, dict):
        for name, source in keys.items():
            if source in tensors:
                tensors.setdefault(name, tensors[source])
    return tensors


def _shards(path: Path) -> list[str]:
    """The weight files: the one, or those of the index, which must lie beside it."""
    there = {file.name for file in path.iterdir()}
    if INDEX not in there:
        names = {WEIGHTS}
    else:
        index = read_json(path / INDEX).get("weight_map")
        names = {str(name) for name in index.values()} if isinstance(index, dict) else set()
    if not names or not names <= there:
        missing = next(iter(sorted(names - there)), WEIGHTS)
        raise RefusedWeights(f"The version has no file {missing[:80]}.")
    return sorted(names)


def _check(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    if missing := sorted(expected.keys() - tensors.keys()):
        raise RefusedWeights(f"{len(missing)} tensors of the architecture are missing, the first being {missing[0]}.")
    if extra := sorted(tensors.keys() - expected.keys()):
        raise RefusedWeights(f"{len(extra)} tensors are not the architecture's, the first being {extra[0][:120]}.")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape or tensor.dtype != expected[name].dtype:
            shapes = f"{list(tensor.shape)}, where config.json tells of {list(expected[name].shape)}"
            raise RefusedWeights(f"{name} is a tensor of {tensor.dtype} {shapes}.")
        if not tensor.isfinite().all():
            raise RefusedWeights(f"{name} holds values that are not finite.")
