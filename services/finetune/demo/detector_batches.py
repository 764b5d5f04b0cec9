"""Batches of fresh scenes for a detector: pictures as cameras and browsers send them, and what is on them.

The pictures of one batch have one size, drawn per batch, since an R-CNN pads a batch to its largest picture; half of
them went through JPEG.
"""

from dataclasses import dataclass, replace
from io import BytesIO
from random import Random

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from services.finetune.demo import render
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import Scene, World, scene

SIDES = (120, 160, 160, 200, 240, 320, 400)  # the shorter side, in pixels
ASPECTS = (1.0, 1.0, 4 / 3, 4 / 3, 3 / 4, 3 / 2, 16 / 9)
QUALITIES = (50, 95)  # of JPEG


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures `[3, height, width]` in 0-1, and torchvision's targets (boxes, labels, masks) for each."""

    pictures: list[Tensor]
    targets: list[dict[str, Tensor]]


def batch(world: World, *, seed: int, number: int, count: int) -> Batch:
    """Batch `number` of those that `seed` stands for: `count` pictures of scenes that no other number has."""
    rng = Random(f"{seed}/batch {number}")
    world, side = replace(world, aspect=rng.choice(ASPECTS)), rng.choice(SIDES)
    scenes = [scene(world, seed=seed, index=number * count + index) for index in range(count)]
    pictures = [render.picture(scene, side) for scene in scenes]
    sent = [jpeg(pixels, rng.randint(*QUALITIES)) if rng.random() < 0.5 else pixels for pixels in pictures]
    return Batch([tensor(pixels) for pixels in sent], [target(scene, side, world.shapes) for scene in scenes])


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    """What is left of a picture after JPEG."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    with Image.open(file) as image:
        return np.array(image)


def tensor(pixels: Pixels) -> Tensor:
    """`[height, width, 3]` of 0-255 -> `[3, height, width]` of 0-1."""
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def target(scene: Scene, side: int, labels: tuple[str, ...]) -> dict[str, Tensor]:
    """What torchvision's detectors are to learn of a scene; label ids count from 1."""
    masks = render.masks(render.instances(scene, side), len(scene.things))
    return {
        "boxes": torch.from_numpy(render.boxes(masks)).float(),
        "labels": torch.tensor([labels.index(thing.shape) + 1 for thing in scene.things]),
        "masks": torch.from_numpy(masks),
    }
