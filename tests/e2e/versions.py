"""Other versions of the shipped models, for tests that change weights: the same files with noise in the tensors."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from shared.weights.manifest import MANIFEST, Card, Made
from shared.weights.seed import shipped
from shared.weights.store import Store


def store_with(folder: Path, model: str) -> Store:
    """A store that holds the shipped champion of `model`, which is champion there too."""
    store = Store(f"file://{folder}/store")
    version = Store(str(shipped())).fetch(model, folder / "cache")
    store.adopt(version)
    store.move_alias(model, "champion", version.version, expected=None)
    return store


def publish_noisy(store: Store, model: str, version: str, *, seed: int, spread: float) -> str:
    """Publish the champion with noise of `spread` times each tensor's own, without golden cases; returns its digest."""
    source = Path(store.url.removeprefix("file://")).parent / f"{model}-{version}"
    shutil.copytree(store.fetch(model, source / "cache").path, source)
    for name in (MANIFEST, "golden.json"):
        (source / name).unlink()
    shutil.rmtree(source / "golden")
    file, chance = source / "model.safetensors", torch.Generator().manual_seed(seed)
    tensors = {name: _noisy(tensor, spread, chance) for name, tensor in load_file(file).items()}
    save_file(tensors, file)
    return store.publish(source, Card(model=model, version=version, made=Made(by="a test"))).digest


def _noisy(tensor: torch.Tensor, spread: float, chance: torch.Generator) -> torch.Tensor:
    if not tensor.is_floating_point() or tensor.ndim < 2:
        return tensor
    noise = torch.randn(tensor.shape, generator=chance) * tensor.float().std() * spread
    return (tensor.float() + noise).to(tensor.dtype)
