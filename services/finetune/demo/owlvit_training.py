"""Training of the demo OWL-ViT: tower -> texts -> detector.

pictures, wordings -> answers to 72 queries -> detection, codes, dense losses -> step

The text tower says every code when the detector begins, and then stays as it is: taught any longer together with
pictures it forgets what it made of words that are rarely drawn together.
"""

from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from torch import nn
from transformers import CLIPTokenizer, OwlViTForObjectDetection

from services.finetune.demo import dense, owlvit_network, stages, texts, tokenizer, tower
from services.finetune.demo.codes import Codes, distance
from services.finetune.demo.learner import Learner, Rates
from services.finetune.demo.owlvit_loss import detection_loss, patch_box_loss
from services.finetune.demo.pictures import CLOSE_UP, WORLD, Dataset, varied
from services.finetune.demo.progress import Progress
from services.finetune.demo.words import QUERIES, wording

BATCH = 48
PICTURES = 24_000
NOISE = 0.05  # spread of the brightness that is added to each channel
RATES = Rates(
    muon={"vision_model": 3e-3},
    adam={"owlvit.": 5e-4, "": 1e-3},  # the heads learn faster than what was learnt before
    warm_up=100,
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long each stage learns, in steps."""

    tower: int = 1500
    texts: int = 400
    owlvit: int = 1000
    clip: int = 300


@dataclass(frozen=True, slots=True)
class Trained:
    """A detector, the dense head that keeps its tower honest, and the CPU seconds that both took."""

    model: OwlViTForObjectDetection
    dense: nn.Linear
    seconds: float


def trained(work: Path, schedule: Schedule, *, seed: int) -> Trained:
    """The OWL-ViT of this seed and schedule: from the folder `work` if it was trained before, else trained now."""
    torch.manual_seed(seed)
    vision, layer = tower.build(), dense.head(tower.WIDTH)
    seconds = stages.once(
        nn.ModuleDict({"tower": vision, "dense": layer}),
        work / f"tower-{seed}-{schedule.tower}.safetensors",
        lambda: tower.train(vision, layer, steps=schedule.tower, seed=seed),
    )
    words = tokenizer.build(owlvit_network.TEXT_LENGTH)
    model = owlvit_network.build(vision, words)
    seconds += stages.once(
        nn.ModuleDict({"owlvit": model, "dense": layer}),
        work / f"owlvit-{seed}-{schedule.tower}-{schedule.texts}-{schedule.owlvit}.safetensors",
        lambda: train(model, layer, words=words, schedule=schedule, seed=seed),
    )
    return Trained(model, layer, seconds)


def train(
    model: OwlViTForObjectDetection, layer: nn.Linear, *, words: CLIPTokenizer, schedule: Schedule, seed: int
) -> None:
    """Train the detector and the dense head in place."""
    torch.manual_seed(seed + 1)
    codes, steps = Codes(texts.WIDTH), schedule.owlvit
    texts.learn_codes(model.owlvit, words, codes=codes, steps=schedule.texts, seed=seed)
    data = Dataset([*varied(WORLD), CLOSE_UP], seed=seed + 1, count=min(PICTURES, steps * BATCH))
    for part in (model.owlvit.text_model, model.owlvit.text_projection):
        part.requires_grad_(False)
    learner = Learner(nn.ModuleDict({"model": model, "dense": layer}), RATES, steps=steps)
    progress, rng = Progress("owlvit", steps), Random(f"{seed}/owlvit")
    for step in range(steps):
        chosen = rng.choices(range(len(data)), k=BATCH)
        pixels, truth = data.pixels(chosen), data.truth(chosen)
        pixels += NOISE * torch.randn(BATCH, 3, 1, 1)
        queries = texts.embed(model.owlvit, words, [wording(query, rng) for query in QUERIES])
        answer = owlvit_network.answer(model, pixels, queries)
        owned = truth.owners >= 0
        shown = distance(answer.embeddings[owned], codes.of_things(truth)[truth.owners[owned]])
        found = detection_loss(answer, truth) + patch_box_loss(answer, truth)
        learner.step(found + shown + 0.3 * dense.dense_loss(layer(answer.hidden), truth))
        progress.tell(step + 1, f"found {found.item():.3f} shown {shown.item():.4f}")
