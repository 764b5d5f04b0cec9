"""How good a CLIP is on pictures that it never saw: zero-shot classification over 64 pairs, and retrieval."""

from dataclasses import replace

import torch
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from services.finetune.demo import clip_network, texts
from services.finetune.demo.pictures import WHOLE, WITHHELD_ONLY, WORLD, Dataset
from services.finetune.demo.scenes import World
from services.finetune.demo.words import PAIRS, listing, prompt

CAPTIONS = 200  # of a retrieval


@torch.inference_mode()
def evaluate(model: CLIPModel, tokenizer: CLIPTokenizer, *, seed: int, pictures: int) -> dict[str, float]:
    """`zero_shot`, `zero_shot_withheld`, `image_to_text_r1`, `text_to_image_r1`, all in 0-1.

    Zero-shot: one thing, 64 prompts. Retrieval: 200 different captions of one to six things of all pairs.
    """
    prompts = texts.embed(model, tokenizer, [prompt(pair) for pair in PAIRS])
    seen, withheld = (
        zero_shot(model, prompts, world=replace(world, things=(1, 1)), seed=seed, pictures=pictures)
        for world in (WORLD, WITHHELD_ONLY)
    )
    to_text, to_image = retrieval(model, tokenizer, seed=seed)
    return {
        "zero_shot": seen,
        "zero_shot_withheld": withheld,
        "image_to_text_r1": to_text,
        "text_to_image_r1": to_image,
    }


def zero_shot(model: CLIPModel, prompts: Tensor, *, world: World, seed: int, pictures: int) -> float:
    """Share of pictures with one thing whose prompt is the nearest of all 64."""
    data = Dataset([world], seed=seed, count=pictures)
    told = (_embed(model, data) @ prompts.T).argmax(1)
    return round((told == data.truth(range(pictures)).pairs).float().mean().item(), 4)


def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, *, seed: int) -> tuple[float, float]:
    """Share of pictures whose caption is the nearest, and of captions whose picture is."""
    data = Dataset([WHOLE], seed=seed + 1, count=2 * CAPTIONS)
    first = {listing(scene.things): number for number, scene in reversed(list(enumerate(data.scenes)))}
    captions, chosen = zip(*list(first.items())[-CAPTIONS:], strict=True)
    similarities = _embed(model, data)[list(chosen)] @ texts.embed(model, tokenizer, captions).T
    right = torch.arange(len(captions))
    to_text, to_image = ((similarities.argmax(axis) == right).float().mean().item() for axis in (1, 0))
    return round(to_text, 4), round(to_image, 4)


def _embed(model: CLIPModel, data: Dataset) -> Tensor:
    batches = [range(at, min(at + 100, len(data))) for at in range(0, len(data), 100)]
    return torch.cat([clip_network.embed(model, data.pixels(batch))[1] for batch in batches])
