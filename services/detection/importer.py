"""A torchvision state dict becomes a version of the store.

read the tensors -> fit them into the architecture -> write config.json and model.safetensors -> publish
"""

import tempfile
from pathlib import Path

import torch
from pydantic import ValidationError
from torch import Tensor

from services.detection.architectures import COCO_LABELS, DetectorConfig, build
from shared.accel.checkpoint import SUFFIXES, read_state, write_state
from shared.serving.model import Identity
from shared.weights.digest import file_sha256
from shared.weights.errors import RefusedVersion, StoreError
from shared.weights.manifest import Card, Made
from shared.weights.names import check, check_version
from shared.weights.store import Store

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
SHOWN = 5  # names listed of each kind of mismatch


def import_checkpoint(
    store: Store, source: Path, *, config: DetectorConfig, model: str, version: str | None
) -> Identity:
    """Publish a state dict as `model@version`; without an id it gets one from the architecture and the bytes.

    `source` is a `.safetensors`, `.pth` or `.pt` file, or a folder that holds one. Raises `RefusedVersion` unless
    names, shapes and number types are those of the architecture and every number is finite.
    """
    check(model, "model")
    if version is not None:
        check_version(version)
    path = checkpoint(source)
    sha256 = file_sha256(path)
    command = f"ocelli models import {path.name} --as {model} --architecture {config.architecture}"
    card = Card(
        model=model,
        version=version or f"{config.architecture}-{sha256[:8]}",
        description=f"{config.architecture}, {len(config.labels)} labels, imported from {path.name}.",
        base=f"{path.name} sha256:{sha256}",
        processor="torchvision GeneralizedRCNNTransform",
        made=Made(by="ocelli models import", command=command),
    )
    state = fit(read_state(path), config)
    with tempfile.TemporaryDirectory(prefix="ocelli-import-") as folder:
        write_state(state, Path(folder, "model.safetensors"))
        Path(folder, "config.json").write_text(config.model_dump_json(indent=2, exclude_none=True) + "\n")
        return store.publish(Path(folder), card)


def configuration(architecture: str, labels: str) -> DetectorConfig:
    """The config of an architecture with the labels of a text file, one a line from id 1 on, or `coco`'s own."""
    try:
        names = COCO_LABELS if labels == "coco" else tuple(Path(labels).read_text(encoding="utf-8").splitlines())
        return DetectorConfig(architecture=architecture, labels=names)
    except UnicodeDecodeError as error:
        raise StoreError(f"{labels} is not a text file in UTF-8.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise StoreError(f"{where} {first['msg']}".strip().removeprefix("Value error, ") + ".") from error


def checkpoint(source: Path) -> Path:
    """The one checkpoint that `source` is, or holds. Raises `StoreError` if there is none, or more than one."""
    if not source.is_dir():
        return source
    found = sorted(path for path in source.iterdir() if path.suffix in SUFFIXES)
    if len(found) != 1:
        raise StoreError(f"{source} holds {len(found)} checkpoints ({', '.join(SUFFIXES)}); name the file to import.")
    return found[0]


def fit(state: dict[str, Tensor], config: DetectorConfig) -> dict[str, Tensor]:
    """The tensors as the architecture of this release names them. Raises `RefusedVersion` unless all of them fit.

    torchvision's modules carry the names of their earlier releases along; loading translates them.
    """
    with torch.device("meta"):  # shapes without memory
        network = build(config)
    expected = network.state_dict()
    shared = {name: (state[name], tensor) for name, tensor in expected.items() if name in state}
    shapes = [f"{n} {list(t.shape)} instead of {list(e.shape)}" for n, (t, e) in shared.items() if t.shape != e.shape]
    _refuse({"of another shape": shapes})
    try:
        missing, unexpected = network.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise RefusedVersion(f"The tensors are not of {config.architecture}'s shapes and number types.") from error
    _refuse({f"missing for {config.architecture}": missing, f"unknown to {config.architecture}": unexpected})
    fitted: dict[str, Tensor] = network.state_dict()
    dtypes = [f"{name} {t.dtype}" for name, t in fitted.items() if t.dtype not in _allowed(expected[name])]
    infinite = [name for name, t in fitted.items() if not bool(torch.isfinite(t).all())]
    _refuse({"of a number type that is not served": dtypes, "not finite": infinite})
    return fitted


def _allowed(expected: Tensor) -> tuple[torch.dtype, ...]:
    return FLOATS if expected.is_floating_point() else (expected.dtype,)


def _refuse(kinds: dict[str, list[str]]) -> None:
    """Raise if there are such tensors, with the first of each kind and their number."""
    sentences = []
    for what, names in kinds.items():
        shown = ", ".join(name[:120] for name in names[:SHOWN])
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        sentences += [f"{len(names)} tensors are {what}: {shown}{more}."] if names else []
    if sentences:
        raise RefusedVersion(" ".join(sentences))
