"""From trained weights to a version in the store, in Hugging Face layout: write -> publish -> champion."""

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

import torch
from transformers import PreTrainedModel, ProcessorMixin

from services.finetune.demo.scenes import World
from shared.accel.checkpoint import write_state
from shared.serving.model import Identity
from shared.weights.errors import StoreError, VersionExists
from shared.weights.manifest import Card, Data, Made
from shared.weights.store import Store

VERSION = "shapes-2"
HELD_OUT_SEED = 9_000_011  # of the scenes that only the evaluation sees
GOLDEN_SEED = 9_000_012
WITHOUT = "without eight withheld (colour, shape) pairs"


class Make(Protocol):
    """A recipe: trains the weights of a seed, publishes them as `version`, and keeps its stages in `work`."""

    def __call__(self, store: Store, work: Path, *, seed: int, version: str) -> Identity:
        """Raises `StoreError` where the store refuses."""


def run(module: str, description: str | None, make: Make, *, version: str = VERSION) -> None:
    """The command line of a recipe; a store that refuses ends it with a sentence."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("--output", required=True, help="the weights store, as a folder or URL")
    parser.add_argument("--work", type=Path, default=Path(".ocelli/demo"), help="folder that keeps the stages' weights")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", default=version)
    asked = parser.parse_args()
    torch.set_num_threads(1)  # one thread per process: two that wait for each other cost more than they bring
    store = Store(asked.output)
    try:
        identity = make(store, asked.work, seed=asked.seed, version=asked.version)
    except StoreError as error:
        sys.exit(str(error))
    print(f"{identity.model}@{identity.version} {identity.digest}")
    print(json.dumps(store.manifest(identity.model, identity.version).metrics))


def require_new(store: Store, model: str, version: str) -> None:
    """Raise `VersionExists` before any work is done for a version that cannot be published."""
    if version in store.versions(model):
        raise VersionExists(f"{model}@{version} exists in {store.url}; name another --version.")


def write(model: PreTrainedModel, processor: ProcessorMixin, folder: Path) -> None:
    """Write configuration, float16 weights, preprocessing and tokenizer; a plain reader computes in float32."""
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    write_state(state, folder / "model.safetensors")
    processor.image_processor.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)


def data(worlds: Mapping[str, World], *, seed: int, pictures: int, shown: str = WITHOUT) -> Data:
    """The training pictures as the manifest tells of them: which pairs they show, and what renders them, hashed."""
    drawn = {"worlds": {name: asdict(world) for name, world in worlds.items()}, "seed": seed, "pictures": pictures}
    canonical = json.dumps(drawn, sort_keys=True, default=sorted)
    description = f"shapes world {shown}: {canonical}"
    return Data(description=description, sha256=hashlib.sha256(canonical.encode()).hexdigest())


def made(module: str, parameters: Mapping[str, int | float | str]) -> Made:
    """Who made the weights and how."""
    command = f"python -m {module} --output models"
    return Made(by="make models", recipe=module, command=command, parameters=dict(parameters))


def publish(store: Store, folder: Path, card: Card) -> Identity:
    """Publish the files of `folder` and let champion point at them."""
    identity = store.publish(folder, card)
    champion = store.aliases(card.model).get("champion")
    expected = champion.version if champion else None
    store.move_alias(card.model, "champion", card.version, expected=expected, by="release")
    return identity
