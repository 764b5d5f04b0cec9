"""Golden cases of the OWL-ViT: small pictures, labels to look for, and what its own published weights find.

A picture is chosen only if every score is far from the threshold: rounding on another device may not turn a right
answer into a wrong one.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image
from transformers import OwlViTForObjectDetection, OwlViTProcessor

from services.finetune.demo import render
from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import Scene, scenes
from services.finetune.demo.words import PAIRS, article

CASES = 3
SIDE = 160
LABELS = 6
CANDIDATES = 60  # scenes looked at before we give up
THRESHOLD = 0.3
DOUBT = (0.12, 0.6)  # no score may lie in between


def write_golden(model: OwlViTForObjectDetection, processor: OwlViTProcessor, folder: Path, *, seed: int) -> int:
    """Write `golden.json` and the pictures it names; returns their number, which is less for a poor model."""
    (folder / "golden").mkdir()
    cases = []
    for number, (picture, labels, objects) in enumerate(islice(_clear(model, processor, seed), CASES)):
        name = f"golden/{number}.png"
        picture.save(folder / name, optimize=True)
        cases.append({"image": name, "labels": labels, "threshold": THRESHOLD, "objects": objects})
    (folder / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")
    return len(cases)


@torch.inference_mode()
def detect(
    model: OwlViTForObjectDetection,
    processor: OwlViTProcessor,
    *,
    picture: Image.Image,
    labels: list[str],
    threshold: float,
) -> list[dict[str, Any]]:
    """Label, score and box (x0, y0, x1, y1 in pixels) of all that Hugging Face's own code finds, best first."""
    inputs = processor(text=[labels], images=picture, truncation=True, return_tensors="pt")
    (result,) = processor.post_process_grounded_object_detection(
        model(**inputs), threshold, target_sizes=[(picture.height, picture.width)], text_labels=[labels]
    )
    found = zip(result["text_labels"], result["scores"].tolist(), result["boxes"].tolist(), strict=True)
    objects = [
        {"label": label, "score": round(score, 4), "box": [round(side, 2) for side in box]}
        for label, score, box in found
    ]
    return sorted(objects, key=lambda one: -one["score"])


def _clear(
    model: OwlViTForObjectDetection, processor: OwlViTProcessor, seed: int
) -> Iterator[tuple[Image.Image, list[str], list[dict[str, Any]]]]:
    """Pictures without noise, which are small as files, in which the model has no doubt and is right."""
    world = replace(WHOLE, noise=0, aspect=4 / 3, things=(2, 4), touching=0.0)
    for number, shown in enumerate(scenes(world, seed=seed, count=CANDIDATES)):
        picture = Image.fromarray(render.picture(shown, SIDE))
        labels = _labels(shown, Random(number))
        objects = detect(model, processor, picture=picture, labels=labels, threshold=DOUBT[0])
        sure = all(one["score"] > DOUBT[1] for one in objects)
        if sure and sorted(one["label"] for one in objects) == sorted(_names(shown)):
            yield picture, labels, objects


def _names(shown: Scene) -> list[str]:
    return [article(f"{thing.colour} {thing.shape}") for thing in shown.things]


def _labels(shown: Scene, rng: Random) -> list[str]:
    """The names of all that is there, and of some things that are not, in any order."""
    names = dict.fromkeys(_names(shown))
    others = [name for name in (article(pair.phrase()) for pair in PAIRS) if name not in names]
    labels = [*names, *rng.sample(others, LABELS - len(names))]
    rng.shuffle(labels)
    return labels
