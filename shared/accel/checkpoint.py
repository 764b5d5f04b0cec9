"""State dicts as files, in both directions: what others publish is read once, offline; what we publish is safetensors.

A `.pth` file is a pickle: it is read by `ocelli models import` alone, never by a service, and with torch's unpickler
for weights, which knows tensors and plain containers and refuses everything that would run code.
"""

import pickle
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from shared.weights.errors import RefusedVersion
from shared.weights.tensors import tensors

SUFFIXES = (".safetensors", ".pth", ".pt")
PICKLE = "pytorch_model.bin"  # what Hugging Face calls a .pth file; other files of that suffix can be anything
# What torch raises on files that are cut off, overwritten, or not its own: no single error, hence the families.
UNREADABLE = (
    RuntimeError,
    OSError,
    EOFError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, on the CPU, by name. Raises `RefusedVersion` for anything but dense tensors."""
    if path.suffix not in SUFFIXES and path.name != PICKLE:
        kinds = ", ".join(SUFFIXES)
        raise RefusedVersion(f"{path.name} is not a checkpoint that can be imported; those end in {kinds}.")
    state = _load(path) if path.suffix == ".safetensors" else _unpickle(path)
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise RefusedVersion(f"{path.name} is not a state dict: {str(name)[:80]!r} is not a tensor with a name.")
        if tensor.layout != torch.strided or tensor.is_quantized:
            raise RefusedVersion(f"{path.name}: {name[:80]!r} is sparse or quantised; save it as a dense tensor.")
    return dict(state)


def write_state(state: Mapping[str, Tensor], path: Path) -> None:
    """Write a state dict as safetensors; tensors that share memory become tensors of their own."""
    dense = torch.contiguous_format
    save_file({name: tensor.detach().cpu().clone(memory_format=dense) for name, tensor in state.items()}, path)


def _load(path: Path) -> Mapping[str, Tensor]:
    tensors(path)  # our own bounds before the library's
    try:
        return load_file(path)
    except SafetensorError as error:
        raise RefusedVersion(f"{path.name} is not a safetensors file that can be read.") from error


def _unpickle(path: Path) -> Mapping[Any, Any]:
    file = path.open("rb")  # outside, so that a file which is not there is told as that
    try:
        # torch's warnings here are advice for those who write pickles
        with file, warnings.catch_warnings(action="ignore"):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise RefusedVersion(
            f"{path.name} holds something else than tensors, and loading it could run code. "
            "Save the model's state_dict() alone, as safetensors if you can."
        ) from error
    except UNREADABLE as error:
        raise RefusedVersion(f"{path.name} is not a checkpoint that torch can read, or it is damaged.") from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]  # torchvision's training scripts keep the optimiser beside the model
    if not isinstance(content, Mapping):
        raise RefusedVersion(f"{path.name} is not a state dict: it holds a {type(content).__name__}.")
    return content
