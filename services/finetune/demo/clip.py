"""Train the demo CLIP on shapes world and publish it: OWL-ViT -> contrast -> round -> evaluate -> publish.

    python -m services.finetune.demo.clip --output models

What is evaluated is what is shipped: float16 weights, read back from the files by transformers itself.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import CLIPModel, CLIPProcessor

from services.finetune.demo import clip_metrics, clip_network, clip_training, owlvit_training, release, tokenizer
from services.finetune.demo.clip_golden import write_golden
from services.finetune.demo.owlvit_training import Schedule
from services.finetune.demo.pictures import CLOSE_UP, WORLD
from shared.serving.model import Identity
from shared.weights.manifest import Card
from shared.weights.store import Store

MODULE = "services.finetune.demo.clip"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the demo CLIP is made."""

    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 1
    version: str = release.VERSION
    pictures: int = 800  # held-out ones, for each figure of the evaluation


def make(recipe: Recipe, store: Store, work: Path) -> Identity:
    """Train, publish in `store` and let champion point at it; the OWL-ViT comes from `work`, or is trained first."""
    release.require_new(store, "clip", recipe.version)
    start = owlvit_training.trained(work, recipe.schedule, seed=recipe.seed)
    words = tokenizer.build(clip_network.TEXT_LENGTH)
    model, begin = clip_network.build(start.model, words), time.process_time()
    clip_training.train(model, start.dense, words=words, steps=recipe.schedule.clip, seed=recipe.seed)
    seconds = start.seconds + time.process_time() - begin
    with tempfile.TemporaryDirectory(prefix="ocelli-demo-") as name:
        folder = Path(name)
        release.write(model, clip_network.processor(words), folder)
        shipped, processor = load(folder)
        seed, pictures = release.HELD_OUT_SEED, recipe.pictures
        metrics = clip_metrics.evaluate(shipped, processor.tokenizer, seed=seed, pictures=pictures)
        write_golden(shipped, processor, folder, seed=release.GOLDEN_SEED)
        return release.publish(store, folder, card(recipe, metrics, seconds=seconds))


def load(folder: Path) -> tuple[CLIPModel, CLIPProcessor]:
    """The model and its processor, as anyone reads them from the files; nothing is fetched."""
    model = CLIPModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, CLIPProcessor.from_pretrained(folder, local_files_only=True)


def card(recipe: Recipe, metrics: Mapping[str, float], *, seconds: float) -> Card:
    """What the manifest says of these weights."""
    evaluation = {"evaluation_seed": release.HELD_OUT_SEED, "evaluation_pictures": recipe.pictures}
    return Card(
        model="clip",
        version=recipe.version,
        description="CLIP with 8 x 8 patches of a 128 px picture for shapes world, float16; 128 numbers an embedding.",
        processor="transformers CLIPProcessor",
        data=release.data(
            {"all stages": WORLD, "detector and contrast": CLOSE_UP}, seed=recipe.seed, pictures=clip_training.PICTURES
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
