"""How well the served CLIP and OWL-ViT understand colours and shapes: through HTTP, on held-out scenes.

    python -m tests.e2e.open_accuracy --url http://127.0.0.1:8000 --scenes 200

Eight (colour, shape) pairs were withheld from every picture and text of training: their figures show what is open about
the vocabulary. CLIP does not bind colours to shapes where a picture holds several, and nothing here asks it to.
"""

import argparse
import base64
import io
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace

import httpx
import numpy as np
import torch
from PIL import Image
from torchmetrics.detection import MeanAveragePrecision

from services.finetune.demo import render
from services.finetune.demo.pictures import WHOLE, WITHHELD_ONLY, WORLD
from services.finetune.demo.scenes import Scene, World, scenes
from services.finetune.demo.words import PAIRS, WITHHELD, Query, listing

SEED = 20_261_124  # unseen: the recipes' seeds are in their manifests
SIDE = 320
WITHHELD_IDS = {PAIRS.index(pair) for pair in WITHHELD}


def zero_shot(client: httpx.Client, world: World, count: int) -> float:
    """Share of pictures with one thing whose pair gets the best score of all 64."""
    labels = [pair.phrase() for pair in PAIRS]
    right = 0
    for scene in scenes(replace(world, things=(1, 1)), seed=SEED, count=count):
        fields = {"image": _text(scene), "labels": labels, "templates": ["a photo of a {}"], "top_k": 1}
        answer = client.post("/v1/classify", json=fields).raise_for_status().json()
        thing = scene.things[0]
        right += answer["data"][0]["labels"][0]["label"] == Query(thing.colour, thing.shape).phrase()
    return right / count


def retrieval(client: httpx.Client, count: int) -> tuple[float, float]:
    """R@1 of `count` pictures with different captions, picture to text and text to picture."""
    captions = {listing(scene.things): scene for scene in scenes(WHOLE, seed=SEED, count=2 * count)}
    chosen = list(captions.items())[:count]
    texts = _embed(client, [caption for caption, _ in chosen], 50)
    pictures = _embed(client, [{"image": _text(scene)} for _, scene in chosen], 10)
    nearness = pictures @ texts.T
    right = np.arange(len(chosen))
    return float((nearness.argmax(1) == right).mean()), float((nearness.argmax(0) == right).mean())


def open_detection(client: httpx.Client, count: int) -> dict[str, float]:
    """mAP50 with all 64 pairs asked at once, and the mean AP50 of the withheld ones."""
    labels = [pair.phrase() for pair in PAIRS]
    average = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True, backend="faster_coco_eval")
    for scene in scenes(WHOLE, seed=SEED, count=count):
        fields = {"image": _text(scene), "labels": labels, "threshold": 0.02}
        found = client.post("/v1/detect/open", json=fields).raise_for_status().json()["data"]
        corners = [[item["box"][side] for side in ("xmin", "ymin", "xmax", "ymax")] for item in found]
        told = {
            "boxes": torch.tensor(corners).reshape(-1, 4),
            "scores": torch.tensor([item["score"] for item in found]),
            "labels": torch.tensor([labels.index(item["label"]) for item in found], dtype=torch.int64),
        }
        average.update([told], [_truth(scene)])
    computed = average.compute()
    per_class = dict(zip(computed["classes"].tolist(), computed["map_per_class"].tolist(), strict=True))
    withheld = [value for label, value in per_class.items() if label in WITHHELD_IDS and value >= 0]
    return {"mAP50": float(computed["map_50"]), "AP50 withheld": float(np.mean(withheld))}


def _truth(scene: Scene) -> dict[str, torch.Tensor]:
    masks = render.masks(render.instances(scene, SIDE), len(scene.things))
    pairs = [PAIRS.index(Query(thing.colour, thing.shape)) for thing in scene.things]
    return {"boxes": torch.from_numpy(render.boxes(masks)).float(), "labels": torch.tensor(pairs)}


def _embed(client: httpx.Client, items: Sequence[object], size: int) -> np.ndarray:
    rows: list[list[float]] = []
    for start in range(0, len(items), size):
        answer = client.post("/v1/embeddings", json={"input": items[start : start + size]}).raise_for_status()
        rows += [entry["embedding"] for entry in answer.json()["data"]]
    return np.asarray(rows)


def _text(scene: Scene) -> str:
    buffer = io.BytesIO()
    Image.fromarray(render.picture(scene, SIDE)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def report(client: httpx.Client, count: int) -> Iterable[str]:
    """One line per figure."""
    yield f"clip    zero-shot over 64 pairs {zero_shot(client, WORLD, count):.3f}"
    yield f"clip    the same, withheld pairs {zero_shot(client, WITHHELD_ONLY, count):.3f}"
    to_text, to_picture = retrieval(client, 200)
    yield f"clip    retrieval R@1 of 200: picture to text {to_text:.3f}, text to picture {to_picture:.3f}"
    figures = open_detection(client, count)
    yield "owlvit  64 pairs asked at once: " + ", ".join(f"{name} {value:.3f}" for name, value in figures.items())


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--scenes", type=int, default=200)
    arguments = parser.parse_args()
    with httpx.Client(base_url=arguments.url, timeout=60, trust_env=False) as client:
        for line in report(client, arguments.scenes):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
