"""An example -> what a detector learns from: read -> augment -> normalise as the service does -> boxes to that size.

Augmentation is on the pixels as they were sent. Channels in any order teach that colour tells no class, which spoils
data whose classes are colours; so it is for whoever asks for it.
"""

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from services.detection.pictures import normalise
from services.finetune.data.examples import DetectionExample
from services.finetune.data.looking import LIMITS
from services.finetune.data.masks import raster
from services.finetune.detection.network import Target
from shared.images.decode import decode

AUGMENTATIONS: Mapping[str, Callable[[], Any]] = {
    "mirror": lambda: v2.RandomHorizontalFlip(0.5),
    "colours": v2.RandomChannelPermutation,
    "none": v2.Identity,
}


class Prepared(NamedTuple):
    """One picture [3, height, width] as the network takes it, and what is on it in pixels of that size."""

    picture: Tensor
    target: Target


class Reader:
    """Prepares examples for one network."""

    def __init__(self, transform: Any, ids: Mapping[str, int], *, masks: bool, augment: Sequence[str]) -> None:
        """`transform` is the network's own; `ids` are those of the labels; `masks` are read where it learns them."""
        self._transform, self._ids, self._masks = transform, ids, masks
        self._augment = v2.Compose([AUGMENTATIONS[name]() for name in augment])

    def __call__(self, example: DetectionExample, rng: Random) -> Prepared:
        """Read and augment an example; torchvision draws from torch's own generator. Raises `OcelliError`."""
        pixels = torch.from_numpy(decode(example.picture.read(), LIMITS).pixels)
        image, target = self._augment(tv_tensors.Image(pixels.permute(2, 0, 1)), self._target(example))
        picture = normalise(image.as_subclass(Tensor).permute(1, 2, 0), self._transform)
        size = list(picture.shape[-2:])
        sized = {name: v2.functional.resize(value, size) for name, value in target.items() if name != "labels"}
        plain = {name: value.as_subclass(Tensor) for name, value in sized.items()}
        return Prepared(picture, plain | {"labels": target["labels"]})

    def _target(self, example: DetectionExample) -> Target:
        width, height = example.size
        boxes = torch.tensor(example.boxes).reshape(-1, 4)
        target: Target = {
            "boxes": tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width)),
            "labels": torch.tensor([self._ids[label] for label in example.labels], dtype=torch.int64),
        }
        if self._masks:
            masks = [raster(one, example.size) for one in example.masks or ()]
            stacked = np.stack(masks) if masks else np.zeros((0, height, width), dtype=np.bool_)
            target["masks"] = tv_tensors.Mask(torch.from_numpy(stacked.astype(np.uint8)))
        return target


def collate(prepared: Sequence[Prepared]) -> dict[str, list[Any]]:
    """A batch as `Learner` takes it; the pictures keep their sizes."""
    return {"pictures": [one.picture for one in prepared], "targets": [one.target for one in prepared]}
