"""Train the demo LLaVA on shapes world and publish it: tower -> dialogues -> round -> evaluate -> publish.

    python -m services.finetune.demo.llava --output models

What is evaluated is what is shipped: float16 weights, read back from the files by transformers itself.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from services.finetune.demo import llava_metrics, llava_network, llava_tokenizer, llava_training, release
from services.finetune.demo.llava_golden import write_golden
from services.finetune.demo.llava_training import FEW, MANY, Schedule
from shared.serving.model import Identity
from shared.weights.manifest import Card
from shared.weights.store import Store

MODULE = "services.finetune.demo.llava"
VERSION = "shapes-1"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the demo LLaVA is made."""

    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 1
    version: str = VERSION
    questions: int = 400  # held-out ones, for each figure of the evaluation


def make(recipe: Recipe, store: Store, work: Path) -> Identity:
    """Train, publish in `store` and let champion point at it; `work` keeps what the stages made."""
    release.require_new(store, "llava", recipe.version)
    model, seconds = llava_training.trained(work, recipe.schedule, seed=recipe.seed)
    with tempfile.TemporaryDirectory(prefix="ocelli-demo-") as name:
        folder = Path(name)
        write(model, folder)
        shipped, processor = load(folder)
        metrics = llava_metrics.evaluate(shipped, processor, seed=release.HELD_OUT_SEED, questions=recipe.questions)
        write_golden(shipped, processor, folder, seed=release.GOLDEN_SEED)
        return release.publish(store, folder, card(recipe, metrics, seconds=seconds))


def write(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write all files of a version but the golden cases."""
    processor = llava_network.processor(llava_tokenizer.build())
    release.write(model, processor, folder)
    model.generation_config.save_pretrained(folder)
    # Files of their own, in the form that every version of the library reads; a store holds no .jinja.
    settings = {
        "processor_class": "LlavaProcessor",
        "image_token": processor.image_token,
        "patch_size": processor.patch_size,
        "num_additional_image_tokens": processor.num_additional_image_tokens,
        "vision_feature_select_strategy": processor.vision_feature_select_strategy,
    }
    (folder / "processor_config.json").write_text(json.dumps(settings, indent=1) + "\n")
    # The likeliest answer is the right one here, and none is long.
    serving = {"max_tokens": llava_network.NEW_TOKENS, "temperature": 0.0}
    (folder / "serving.json").write_text(json.dumps(serving) + "\n")
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": processor.chat_template}) + "\n")


def load(folder: Path) -> tuple[LlavaForConditionalGeneration, LlavaProcessor]:
    """The model and its processor, as anyone reads them from the files; nothing is fetched."""
    model = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    return model, LlavaProcessor.from_pretrained(folder, local_files_only=True)


def card(recipe: Recipe, metrics: Mapping[str, float], *, seconds: float) -> Card:
    """What the manifest says of these weights."""
    evaluation = {"evaluation_seed": release.HELD_OUT_SEED, "evaluation_questions": recipe.questions}
    return Card(
        model="llava",
        version=recipe.version,
        description="LLaVA for shapes world, float16: 64 tokens a picture of 128 px, a Llama of four layers.",
        processor="transformers LlavaProcessor",
        data=release.data(
            {"three of four pictures": FEW, "the others": MANY},
            seed=recipe.seed,
            pictures=recipe.schedule.pictures,
            shown="with all 64 (colour, shape) pairs, but for the tower's first training",
        ),
        metrics=dict(metrics),
        made=release.made(
            MODULE, asdict(recipe.schedule) | {"seed": recipe.seed, "cpu_seconds": round(seconds)} | evaluation
        ),
    )


def main() -> None:
    """The command line."""
    release.run(
        MODULE,
        __doc__,
        lambda store, work, *, seed, version: make(Recipe(seed=seed, version=version), store, work),
        version=VERSION,
    )


if __name__ == "__main__":
    main()
