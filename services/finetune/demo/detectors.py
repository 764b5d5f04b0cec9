"""Train the demo detectors on shapes world and publish them: scenes -> train -> round -> evaluate -> publish.

    python -m services.finetune.demo.detectors --model ssd --output models

Each recipe starts where the one before it ended: the Faster R-CNN takes the SSD's backbone, the Mask R-CNN all that the
Faster R-CNN has. What is evaluated is what is shipped: float16 weights, read back from the file.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from services.detection.architectures import DetectorConfig, Family, build
from services.finetune.demo import detector_batches
from services.finetune.demo.detector_golden import write_golden
from services.finetune.demo.detector_metrics import evaluate
from services.finetune.demo.detector_training import Schedule, train
from services.finetune.demo.scenes import World
from shared.accel.checkpoint import read_state, write_state
from shared.serving.model import Identity
from shared.weights.errors import StoreError, VersionExists
from shared.weights.manifest import Card, Data, Made
from shared.weights.store import Store

HELD_OUT_SEED = 9_000_001  # of the scenes that only the evaluation sees
GOLDEN_SEED = 9_000_002


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one demo detector is made."""

    model: Family
    schedule: Schedule
    start: Family | None = None  # the detector whose weights it begins with, where names and shapes agree
    world: World = field(default_factory=World)
    seed: int = 1
    version: str = "shapes-1"
    scenes: int = 300  # held-out ones, for the evaluation

    @property
    def config(self) -> DetectorConfig:
        """The network, and how its input is normalised."""
        grey, spread = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
        architecture, labels = f"tiny-{self.model}", self.world.shapes
        return DetectorConfig(architecture=architecture, labels=labels, image_mean=grey, image_std=spread, min_size=160)

    @property
    def data(self) -> Data:
        """The scenes as the manifest tells of them: everything that renders them, hashed."""
        drawn = {
            "world": asdict(self.world),
            "seed": self.seed,
            "pictures": self.schedule.steps * self.schedule.pictures,
            "sides": detector_batches.SIDES,
            "aspects": detector_batches.ASPECTS,
            "jpeg": detector_batches.QUALITIES,
        }
        canonical = json.dumps(drawn, sort_keys=True, default=sorted)
        description = f"shapes world, {drawn['pictures']} scenes rendered once each: {canonical}"
        return Data(description=description, sha256=hashlib.sha256(canonical.encode()).hexdigest())


RECIPES: Mapping[str, Recipe] = {
    "ssd": Recipe("ssd", Schedule(steps=1500)),
    "faster-rcnn": Recipe("faster-rcnn", Schedule(steps=900), start="ssd"),
    "mask-rcnn": Recipe("mask-rcnn", Schedule(steps=500), start="faster-rcnn"),
}


def make(recipe: Recipe, store: Store) -> Identity:
    """Train the detector of `recipe`, publish it in `store` and let champion point at it.

    Raises `StoreError` before any work if the version exists or the weights to start from do not.
    """
    if recipe.version in store.versions(recipe.model):
        raise VersionExists(f"{recipe.model}@{recipe.version} exists in {store.url}; name another --version.")
    torch.manual_seed(recipe.seed)
    model = build(recipe.config)
    base = start_from(model, store, recipe)
    seconds = train(model, recipe.world, recipe.schedule, seed=recipe.seed)
    with tempfile.TemporaryDirectory(prefix="ocelli-demo-") as folder:
        shipped = round_off(model, recipe.config, Path(folder))
        metrics = evaluate(shipped, recipe.world, seed=HELD_OUT_SEED, scenes=recipe.scenes)
        write_golden(shipped, recipe.world, Path(folder), seed=GOLDEN_SEED)
        identity = store.publish(Path(folder), card(recipe, metrics, base=base, seconds=seconds))
    champion = store.aliases(recipe.model).get("champion")
    expected = champion.version if champion else None
    store.move_alias(recipe.model, "champion", recipe.version, expected=expected, by="release")
    return identity


def start_from(model: nn.Module, store: Store, recipe: Recipe) -> str | None:
    """Give `model` the weights that the recipe starts from, and tell which version they are."""
    if recipe.start is None:
        return None
    with tempfile.TemporaryDirectory(prefix="ocelli-demo-") as cache:
        version = store.fetch(f"{recipe.start}@{recipe.version}", Path(cache))
        model.load_state_dict(read_state(version.path / "model.safetensors"), strict=False)
    return f"{version.model}@{version.version} {version.digest}"


def round_off(model: nn.Module, config: DetectorConfig, folder: Path) -> nn.Module:
    """Write the weights as float16, and return the network that a service makes of the files."""
    (folder / "config.json").write_text(config.model_dump_json(indent=2, exclude_none=True) + "\n")
    state = {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
    write_state(state, folder / "model.safetensors")
    shipped = build(config)
    shipped.load_state_dict(read_state(folder / "model.safetensors"))
    return shipped


def card(recipe: Recipe, metrics: Mapping[str, float], *, base: str | None, seconds: float) -> Card:
    """What the manifest says of these weights."""
    parameters = asdict(recipe.schedule) | {"seed": recipe.seed, "cpu_seconds": round(seconds)}
    evaluation = {"evaluation_seed": HELD_OUT_SEED, "evaluation_scenes": recipe.scenes}
    module = "services.finetune.demo.detectors"
    return Card(
        model=recipe.model,
        version=recipe.version,
        description=f"{recipe.config.architecture} for the {len(recipe.world.shapes)} shapes of shapes world, float16.",
        base=base,
        processor="torchvision GeneralizedRCNNTransform",
        data=recipe.data,
        metrics=dict(metrics),
        made=Made(
            by="make models",
            recipe=module,
            command=f"python -m {module} --model {recipe.model} --output models",
            parameters=parameters | evaluation,
        ),
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command line; a store that refuses ends it with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m services.finetune.demo.detectors", description=__doc__)
    parser.add_argument("--model", required=True, choices=RECIPES)
    parser.add_argument("--output", required=True, help="the weights store, as a folder or URL")
    parser.add_argument("--steps", type=int, help="training steps, instead of the recipe's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--version", default="shapes-1")
    asked = parser.parse_args(argv)
    recipe = RECIPES[asked.model]
    schedule = replace(recipe.schedule, steps=asked.steps or recipe.schedule.steps)
    recipe = replace(recipe, schedule=schedule, seed=asked.seed, version=asked.version)
    torch.set_num_threads(1)  # one thread per process: two that wait for each other cost more than they bring
    store = Store(asked.output)
    try:
        identity = make(recipe, store)
    except StoreError as error:
        sys.exit(str(error))
    print(f"{identity.model}@{identity.version} {identity.digest}")
    print(json.dumps(store.manifest(identity.model, identity.version).metrics))


if __name__ == "__main__":
    main()
