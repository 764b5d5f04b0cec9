"""How well the served CLIP understands colours and shapes of scenes that it never saw."""

from collections.abc import Sequence
from dataclasses import replace

import httpx
import numpy as np

from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import World, scenes
from services.finetune.demo.words import PAIRS, Query, listing
from tests.e2e import held_out
from tests.e2e.held_out import SEED
from tests.e2e.pictures import text


def zero_shot(client: httpx.Client, world: World, count: int) -> float:
    """Share of pictures with one thing whose pair gets the best score of all 64."""
    labels = [pair.phrase() for pair in PAIRS]
    right = 0
    for scene in scenes(replace(world, things=(1, 1)), seed=SEED, count=count):
        fields = {
            "image": text(held_out.picture(scene)),
            "labels": labels,
            "templates": ["a photo of a {}"],
            "top_k": 1,
        }
        answer = client.post("/v1/classify", json=fields).raise_for_status().json()
        thing = scene.things[0]
        right += answer["data"][0]["labels"][0]["label"] == Query(thing.colour, thing.shape).phrase()
    return right / count


def retrieval(client: httpx.Client, count: int) -> tuple[float, float]:
    """R@1 of `count` pictures with different captions, picture to text and text to picture."""
    captions = {listing(scene.things): scene for scene in scenes(WHOLE, seed=SEED, count=2 * count)}
    chosen = list(captions.items())[:count]
    texts = _embed(client, [caption for caption, _ in chosen], 50)
    pictures = _embed(client, [{"image": text(held_out.picture(scene))} for _, scene in chosen], 10)
    nearness = pictures @ texts.T
    right = np.arange(len(chosen))
    return float((nearness.argmax(1) == right).mean()), float((nearness.argmax(0) == right).mean())


def _embed(client: httpx.Client, items: Sequence[object], size: int) -> np.ndarray:
    rows: list[list[float]] = []
    for start in range(0, len(items), size):
        answer = client.post("/v1/embeddings", json={"input": items[start : start + size]}).raise_for_status()
        rows += [entry["embedding"] for entry in answer.json()["data"]]
    return np.asarray(rows)
