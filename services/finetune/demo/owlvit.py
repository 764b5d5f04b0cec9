"""Train the demo OWL-ViT on shapes world and publish it: tower -> texts -> detector -> round -> evaluate -> publish.

    python -m services.finetune.demo.owlvit --output models

What is evaluated is what is shipped: float16 weights, read back from the files by transformers itself.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import OwlViTForObjectDetection, OwlViTProcessor

from services.finetune.demo import one_shot, owlvit_metrics, owlvit_network, owlvit_training, release, tokenizer
from services.finetune.demo.owlvit_golden import write_golden
from services.finetune.demo.owlvit_training import Schedule
from services.finetune.demo.pictures import CLOSE_UP, WORLD
from shared.serving.model import Identity
from shared.weights.manifest import Card
from shared.weights.store import Store

MODULE = "services.finetune.demo.owlvit"
TEMPLATE = "a photo of a {}"  # what a service puts labels into
EXAMPLE_THRESHOLD = 0.99  # of detection by example, where things that are alike by half reach 0.98


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the demo OWL-ViT is made."""

    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 1
    version: str = release.VERSION
    scenes: int = 600  # held-out ones, for the evaluation
    trials: int = 200  # of detection by example


def make(recipe: Recipe, store: Store, work: Path) -> Identity:
    """Train, publish in `store` and let champion point at it; `work` keeps what the CLIP starts from."""
    release.require_new(store, "owlvit", recipe.version)
    trained = owlvit_training.trained(work, recipe.schedule, seed=recipe.seed)
    with tempfile.TemporaryDirectory(prefix="ocelli-demo-") as name:
        folder = Path(name)
        words = tokenizer.build(owlvit_network.TEXT_LENGTH)
        release.write(trained.model, owlvit_network.processor(words), folder)
        shipped, processor = load(folder)
        metrics = evaluate(shipped, processor, recipe)
        serving = {"template": TEMPLATE, "threshold": metrics["threshold"], "query_threshold": EXAMPLE_THRESHOLD}
        (folder / "serving.json").write_text(json.dumps(serving) + "\n")
        write_golden(shipped, processor, folder, seed=release.GOLDEN_SEED)
        return release.publish(store, folder, card(recipe, metrics, seconds=trained.seconds))


def load(folder: Path) -> tuple[OwlViTForObjectDetection, OwlViTProcessor]:
    """The detector and its processor, as anyone reads them from the files; nothing is fetched."""
    model = OwlViTForObjectDetection.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, OwlViTProcessor.from_pretrained(folder, local_files_only=True)


def evaluate(model: OwlViTForObjectDetection, processor: OwlViTProcessor, recipe: Recipe) -> dict[str, float]:
    """All figures of the manifest."""
    seed = release.HELD_OUT_SEED
    metrics = owlvit_metrics.evaluate(model, processor, seed=seed, scenes=recipe.scenes)
    return metrics | {"one_shot_accuracy": one_shot.accuracy(model, seed=seed, count=recipe.trials)}


def card(recipe: Recipe, metrics: Mapping[str, float], *, seconds: float) -> Card:
    """What the manifest says of these weights."""
    evaluation = {"evaluation_seed": release.HELD_OUT_SEED, "evaluation_scenes": recipe.scenes}
    return Card(
        model="owlvit",
        version=recipe.version,
        description="OWL-ViT with 8 x 8 patches of a 128 px picture for shapes world, float16.",
        processor="transformers OwlViTProcessor",
        data=release.data(
            {"tower and detector": WORLD, "detector": CLOSE_UP}, seed=recipe.seed, pictures=owlvit_training.PICTURES
        ),
        metrics=dict(metrics),
        made=release.made(
            MODULE, asdict(recipe.schedule) | {"seed": recipe.seed, "cpu_seconds": round(seconds)} | evaluation
        ),
    )


def main() -> None:
    """The command line."""
    release.run(
        MODULE, __doc__, lambda store, work, *, seed, version: make(Recipe(seed=seed, version=version), store, work)
    )


if __name__ == "__main__":
    main()
