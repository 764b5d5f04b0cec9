"""Golden cases of a detector: small pictures, and what its own published weights find in them.

A service that is to take the weights over must find the same objects, so a picture is chosen only if every score is
far from the threshold: rounding on another device may not turn a right answer into a wrong one.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

from services.finetune.demo import render
from services.finetune.demo.detector_batches import tensor
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import World, scenes

CASES = 3
SIDE = 180
CANDIDATES = 20  # scenes looked at before we give up
THRESHOLD = 0.5
DOUBT = (0.2, 0.8)  # no score may lie in between


def write_golden(model: nn.Module, world: World, folder: Path, *, seed: int) -> int:
    """Write `golden.json` and the pictures it names; returns their number, which is less for a poor model."""
    (folder / "golden").mkdir()
    cases = []
    for number, (pixels, answer) in enumerate(islice(_clear(model, world, seed), CASES)):
        name = f"golden/{number}.png"
        Image.fromarray(pixels).save(folder / name, optimize=True)
        cases.append({"image": name, "threshold": THRESHOLD, "objects": objects(answer, world.shapes)})
    (folder / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")
    return len(cases)


def objects(answer: dict[str, Tensor], labels: tuple[str, ...]) -> list[dict[str, object]]:
    """Label and box (x0, y0, x1, y1 in pixels) of all that is found at the threshold."""
    sure = answer["scores"] >= THRESHOLD
    boxes, ids = answer["boxes"][sure].tolist(), answer["labels"][sure].tolist()
    return [
        {"label": labels[label - 1], "box": [round(side, 2) for side in box]}
        for box, label in zip(boxes, ids, strict=True)
    ]


@torch.inference_mode()
def _clear(model: nn.Module, world: World, seed: int) -> Iterator[tuple[Pixels, dict[str, Tensor]]]:
    """Pictures without noise, which are small as files, in which the model has no doubt and misses nothing."""
    for scene in scenes(replace(world, noise=0, aspect=4 / 3), seed=seed, count=CANDIDATES):
        pixels = render.picture(scene, SIDE)
        answer = model([tensor(pixels)])[0]
        scores = answer["scores"]
        doubtful = ((scores > DOUBT[0]) & (scores < DOUBT[1])).any()
        if not doubtful and (scores >= THRESHOLD).sum() == len(scene.things):
            yield pixels, answer
