"""Pixels -> the network's input, in exactly torchvision's arithmetic (GeneralizedRCNNTransform).

geometry    sizes alone, told before any work: what a picture costs, and which ones run in one batch
normalise   uint8 -> float32 -> resized; on a thread of the CPU pool, or on the GPU with the batch
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from shared.errors import InvalidImage

Size = tuple[int, int]  # height, width


@dataclass(frozen=True, slots=True)
class Geometry:
    """The sizes of one picture: as uploaded, as resized for the network, and as padded."""

    picture: Size
    resized: Size
    padded: Size


def geometry(picture: Size, transform: Any, *, field: str = "image") -> Geometry:
    """The sizes that `transform` gives to a picture. Raises `InvalidImage` where a side would shrink to nothing."""
    if transform.fixed_size is not None:
        width, height = transform.fixed_size
    else:
        scale = min(transform.min_size[-1] / min(picture), transform.max_size / max(picture))
        height, width = (math.floor(side * scale) for side in picture)
    if not (height and width):
        raise InvalidImage(
            f"A picture of {picture[1]} x {picture[0]} pixels is too narrow for this model: scaled to its input, the "
            "shorter side would shrink to nothing. Crop the longer one.",
            code="image_too_narrow",
            param=field,
        )
    stride = transform.size_divisible
    padded = (math.ceil(height / stride) * stride, math.ceil(width / stride) * stride)
    return Geometry(picture, (height, width), padded)


def normalise(pixels: Tensor, transform: GeneralizedRCNNTransform) -> Tensor:
    """`pixels` [height, width, 3] uint8 as the network's input [3, height', width'] float32, on the same device.

    The same operations as torchvision's in the same order, in place: the result is equal to the last bit.
    """
    image = pixels.permute(2, 0, 1).contiguous().float().div_(255)
    mean, std = (image.new_tensor(values)[:, None, None] for values in (transform.image_mean, transform.image_std))
    resized: Tensor = transform.resize(image.sub_(mean).div_(std))[0]
    return resized


def pad(images: list[Tensor], geometries: list[Geometry]) -> Tensor:
    """One tensor [n, 3, *padded] of pictures whose padded size is the same; zeros, the mean colour, fill the rest."""
    batch = images[0].new_zeros(len(images), 3, *geometries[0].padded)
    for row, image, sizes in zip(batch, images, geometries, strict=True):
        row[:, : sizes.resized[0], : sizes.resized[1]].copy_(image)
    return batch


def stack_sizes(geometries: list[Geometry], device: torch.device) -> tuple[Tensor, Tensor]:
    """Sizes before padding [n, 2], and the factors [n, 4] that bring boxes back to the uploaded pictures."""
    pictures = torch.tensor([sizes.picture for sizes in geometries], dtype=torch.float32)
    resized = torch.tensor([sizes.resized for sizes in geometries], dtype=torch.float32)
    factors = (pictures / resized).flip(1).repeat(1, 2)
    return resized.to(device), factors.to(device)
