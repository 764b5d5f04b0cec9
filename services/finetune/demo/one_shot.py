"""Detection by example: show one thing, find its like in another picture, and how often that succeeds."""

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
import torch
from PIL import Image
from torchvision.ops import box_convert, box_iou
from transformers import OwlViTForObjectDetection

from services.finetune.demo.pictures import SIDE, WHOLE, draw, normalised, square
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import Scene, Thing, scene

MARGINS = (1.3, 3.0)  # side of the cut-out by the longer side of the thing


def cut_out(pixels: Pixels, thing: Thing, margin: float) -> Pixels:
    """A square around a thing of a square picture, as far as the picture reaches."""
    x0, y0, x1, y1 = thing.box
    half = max(x1 - x0, y1 - y0) * margin / 2
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    left, top, right, bottom = (
        int(min(1, max(0, edge)) * len(pixels)) for edge in (x - half, y - half, x + half, y + half)
    )
    return pixels[top:bottom, left:right]


@torch.inference_mode()
def accuracy(model: OwlViTForObjectDetection, *, seed: int, count: int) -> float:
    """Share of `count` trials in which the best box of Hugging Face's `image_guided_detection` is right (IoU of .5).

    The query is cut out of one picture, the target shows two to six things of which one alone is of that pair.
    """
    right = 0
    for target, thing, query in islice(trials(seed), count):
        found = model.image_guided_detection(
            pixel_values=normalised(square(target))[None], query_pixel_values=normalised(query)[None]
        )
        best = found.target_pred_boxes[0, found.logits[0, :, 0].argmax()]
        overlap = box_iou(box_convert(best[None], "cxcywh", "xyxy"), torch.tensor([thing.box]))
        right += overlap.item() >= 0.5
    return right / count


def trials(seed: int) -> Iterator[tuple[Scene, Thing, Pixels]]:
    """Without end: target scene, the thing in it that is meant, and the query picture [h, w, 3] of the model's size."""
    rng, several = Random(f"{seed}/one shot"), replace(WHOLE, things=(2, 6))
    for index in itertools.count():
        target = draw([several], seed=seed, index=index)
        pairs = Counter((thing.colour, thing.shape) for thing in target.things)
        single = [thing for thing in target.things if pairs[thing.colour, thing.shape] == 1]
        if len(target.things) >= 2 and single:
            thing = rng.choice(single)
            yield target, thing, _query(thing, seed=seed + 1, index=index, margin=rng.uniform(*MARGINS))


def _query(thing: Thing, *, seed: int, index: int, margin: float) -> Pixels:
    """Another thing of the same colour and shape, cut out of its picture and brought to the model's size."""
    world = replace(WHOLE, things=(1, 1), colours=(thing.colour,), shapes=(thing.shape,))
    other = scene(world, seed=seed, index=index)
    cut = cut_out(square(other), other.things[0], margin)
    return np.array(Image.fromarray(cut).resize((SIDE, SIDE), Image.Resampling.BICUBIC))
