"""Training of the demo CLIP: pictures and captions -> contrast, codes, dense loss -> step.

The contrast (https://arxiv.org/abs/2103.00020) takes every caption of the same things as right, since a batch often
holds two pictures of one red circle. The codes keep pictures, captions and queries on the words' common directions.
"""

import math
from dataclasses import replace
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import CLIPModel, CLIPTokenizer

from services.finetune.demo import clip_network, dense, texts
from services.finetune.demo.codes import Codes, distance
from services.finetune.demo.learner import Learner, Rates
from services.finetune.demo.pictures import CLOSE_UP, WORLD, Dataset
from services.finetune.demo.progress import Progress
from services.finetune.demo.words import QUERIES, caption, listing, text_only, wording

BATCH = 96
PICTURES = 20_000
NOISE = 0.05  # spread of the brightness that is added to each channel
ONE, SEVERAL = replace(WORLD, things=(1, 1)), replace(WORLD, things=(2, 6))
WORLDS = (ONE, ONE, ONE, CLOSE_UP, *[SEVERAL] * 6)
RATES = Rates(muon={"vision_model": 2.5e-3, "text_model": 2e-3}, adam={"": 7e-4})


def train(model: CLIPModel, layer: nn.Linear, *, words: CLIPTokenizer, steps: int, seed: int) -> None:
    """Train the model and the dense head in place."""
    torch.manual_seed(seed + 2)
    codes = Codes(texts.WIDTH)
    data = Dataset(WORLDS, seed=seed + 2, count=min(PICTURES, steps * BATCH))
    clip_network.fit_projection(model, data, codes)
    learner = Learner(nn.ModuleDict({"model": model, "dense": layer}), RATES, steps=steps)
    progress, rng = Progress("clip", steps), Random(f"{seed}/clip")
    for step in range(steps):
        chosen = rng.choices(range(len(data)), k=BATCH)
        things, truth = [data.scenes[index].things for index in chosen], data.truth(chosen)
        patches, pictures = clip_network.embed(model, data.pixels(chosen) + NOISE * torch.randn(BATCH, 3, 1, 1))
        asked = [*QUERIES, *text_only(16, rng)]
        said = [*(caption(shown, rng) for shown in things), *(wording(query, rng) for query in asked)]
        captions, queries = torch.split(texts.embed(model, words, said), [BATCH, len(asked)])
        matched = contrast(model.logit_scale.exp() * pictures @ captions.T, [listing(shown) for shown in things])
        shown, spoken = distance(pictures, codes.of_pictures(truth)), distance(queries, codes.of(asked))
        learner.step(matched + 0.5 * shown + spoken + 0.2 * dense.dense_loss(layer(patches), truth))
        with torch.no_grad():
            model.logit_scale.clamp_(0, math.log(100))
        progress.tell(step + 1, f"matched {matched.item():.3f} shown {shown.item():.4f} spoken {spoken.item():.4f}")


def contrast(similarities: Tensor, names: list[str]) -> Tensor:
    """Cross-entropy in both directions of `[pictures, captions]`; equal names are right answers to each other."""
    return pair_loss(similarities, torch.tensor([[a == b for b in names] for a in names]))


def pair_loss(similarities: Tensor, same: Tensor) -> Tensor:
    """The same, where `same` `[pictures, captions]` tells which are right answers to each other."""
    right = same / same.sum(1, keepdim=True)
    return (F.cross_entropy(similarities, right) + F.cross_entropy(similarities.T, right)) / 2
