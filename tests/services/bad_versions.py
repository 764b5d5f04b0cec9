"""Versions that must not serve, made from a shipped one: each has one fault, and a pattern of the reason to be told.

altered    other tensors, settings or words in files that are published as they should be
damaged    a version in order, whose bytes in the store were changed afterwards
forged     what publishing refuses, laid into the store by hand, with a manifest that fits
"""

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from shared.weights.digest import file_sha256
from shared.weights.manifest import MANIFEST, Card, File, Made, Manifest
from shared.weights.seed import shipped
from shared.weights.store import Store

Tensors = dict[str, Tensor]
WEIGHTS, CONFIG = "model.safetensors", "config.json"
OTHER = {"clip": "owlvit", "owlvit": "clip", "llava": "clip", "ssd": "mask-rcnn", "mask-rcnn": "ssd"}
DETECTORS = ("ssd", "mask-rcnn")
LARGER = {"ssd": {"min_size": 480}, "mask-rcnn": {"min_size": 448, "max_size": 896}}
DEEPER = {  # part of config.json, part of the network, the layers' last steps: with zeros there, a layer adds nothing
    "llava": ("text_config", "language_model", ("o_proj", "down_proj")),
    "towers": ("vision_config", "vision_model", ("out_proj", "fc2")),
}


class Fault(NamedTuple):
    """How a folder of weights is spoilt, what is done to it in the store, and what the refusal says."""

    reason: str
    spoil: Callable[[Path, str], None] = lambda folder, model: None
    damage: Callable[[Path], None] | None = None
    forged: bool = False


def publish(store: Store, model: str, name: str) -> None:
    """Let `store`, on a disk, hold `model@<name>` with the fault of that name, and else what champion is."""
    fault, root = FAULTS[name], Path(store.url.removeprefix("file://"))
    source = root.parent / "sources" / name
    shutil.copytree(store.fetch(model, source / "cache").path, source)
    (source / MANIFEST).unlink()
    fault.spoil(source, model)
    card, target = Card(model=model, version=name, made=Made(by="a test")), root / "models" / model / name
    if fault.forged:
        files = {path.relative_to(source).as_posix(): path for path in source.rglob("*") if path.is_file()}
        told = {name: File(sha256=file_sha256(path), bytes=path.stat().st_size) for name, path in files.items()}
        shutil.copytree(source, target)
        (target / MANIFEST).write_bytes(Manifest.of(card, told).encode())
    else:
        store.publish(source, card)
    if fault.damage:
        fault.damage(target / WEIGHTS)


def largest(tensors: Tensors) -> str:
    """The name of the largest tensor that no other stands in for, as embeddings do for the head."""
    return max((name for name in tensors if "lm_head" not in name), key=lambda name: tensors[name].numel())


def _tensors(change: Callable[[Tensors], Tensors]) -> Callable[[Path, str], None]:
    def spoil(folder: Path, _: str) -> None:
        save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS)

    return spoil


def _first_number(value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        changed = tensors[largest(tensors)].clone()
        changed.view(-1)[0] = value
        return tensors | {largest(tensors): changed}

    return change


def _shorter(tensors: Tensors) -> Tensors:
    return tensors | {largest(tensors): tensors[largest(tensors)][:-1].clone()}


def _scrambled(tensors: Tensors) -> Tensors:
    chance = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(one.shape, generator=chance).to(one.dtype) * one.float().std(correction=0).to(one.dtype)
        if one.is_floating_point()
        else one
        for name, one in tensors.items()
    }


def _settings(folder: Path, change: Callable[[dict[str, object]], object]) -> None:
    fields = json.loads((folder / CONFIG).read_text())
    change(fields)
    (folder / CONFIG).write_text(json.dumps(fields))


def _another(folder: Path, model: str) -> None:
    other = Store(str(shipped())).fetch(OTHER[model], folder).path
    for name in (WEIGHTS,) if model in DETECTORS else (WEIGHTS, CONFIG):
        shutil.copyfile(other / name, folder / name)


def _words(folder: Path, model: str) -> None:
    """One label, or one word, more than the network knows."""
    if model in DETECTORS:
        _settings(folder, lambda fields: fields["labels"].append("spiral"))  # type: ignore[attr-defined]
        return
    words = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["spiral</w>"] = 1 + max([*vocabulary.values(), *(added["id"] for added in words["added_tokens"])])
    (folder / "tokenizer.json").write_text(json.dumps(words))


def _code(folder: Path, _: str) -> None:
    _settings(folder, lambda fields: fields.update(auto_map={"AutoModel": "modeling.Evil"}))


def _pickle(folder: Path, _: str) -> None:
    (folder / WEIGHTS).write_bytes(pickle.dumps({"weight": [0.0] * 1000}))


def _huge_header(folder: Path, _: str) -> None:
    (folder / WEIGHTS).write_bytes((1 << 40).to_bytes(8, "little") + b"{}")


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0x10
    file.write_bytes(data)


def _slower(folder: Path, model: str) -> None:
    """Many layers that add nothing, or a detector that looks at many more pixels."""
    if model in DETECTORS:
        (folder / "golden.json").unlink()
        shutil.rmtree(folder / "golden")
        _settings(folder, lambda fields: fields.update(LARGER[model]))
        return
    part, where, ends = DEEPER["llava" if model == "llava" else "towers"]
    tensors, fields = load_file(folder / WEIGHTS), json.loads((folder / CONFIG).read_text())
    layers = fields[part]["num_hidden_layers"]
    last = f"layers.{layers - 1}."
    for name, one in [(name, one) for name, one in tensors.items() if where in name and last in name]:
        for extra in range(layers, 5 * layers):
            copy = torch.zeros_like(one) if any(end in name for end in ends) else one.clone()
            tensors[name.replace(last, f"layers.{extra}.")] = copy
    fields[part]["num_hidden_layers"] = 5 * layers
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(fields))


GOLDEN, NAMES = "golden case", "missing|unknown"
FAULTS: dict[str, Fault] = {
    "nan": Fault("finite", _tensors(_first_number(float("nan")))),
    "inf": Fault("finite", _tensors(_first_number(float("inf")))),
    "zeros": Fault(GOLDEN, _tensors(lambda t: {name: torch.zeros_like(one) for name, one in t.items()})),
    "random": Fault(GOLDEN, _tensors(_scrambled)),
    "shape": Fault(
        "another shape|where config.json tells of", _tensors(lambda t: t | {largest(t): t[largest(t)][:-1].clone()})
    ),
    "kind": Fault("number type|int32", _tensors(lambda t: t | {largest(t): t[largest(t)].to(torch.int32)})),
    "renamed": Fault(
        NAMES, _tensors(lambda t: {f"{name}x" if name == largest(t) else name: one for name, one in t.items()})
    ),
    "missing": Fault("missing", _tensors(lambda t: {name: one for name, one in t.items() if name != largest(t)})),
    "extra": Fault("extra", _tensors(lambda t: t | {"extra": torch.zeros(1)})),
    "truncated": Fault("bytes; the manifest says", damage=_cut),
    "flipped": Fault("are not those that were published", damage=_flip),
    "architecture": Fault("missing|model_type .* is not served here", _another),
    "words": Fault("tokens|another shape", _words),
    "header": Fault("not a safetensors file, or a header over", _huge_header, forged=True),
    "pickle": Fault("not a safetensors file", _pickle, forged=True),
    "code": Fault("auto_map", _code),
    "slower": Fault("times as long", _slower),
}
