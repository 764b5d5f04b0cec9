"""Random detectors that find something: there is nothing to compare where all scores are equal.

One forward pass sets every normalisation to the statistics that it sees, and scales each last layer to a spread of
scores and offsets like that of a trained network.
"""

import io
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from services.detection.architectures import DetectorConfig, build

SPREADS = {"cls_logits": 2.0, "cls_score": 2.5, "classification_head": 2.5, "bbox_pred": 0.6, "regression_head": 0.6}
SPREADS |= {"mask_fcn_logits": 3.0}


def config(architecture: str, classes: int = 8, **sizes: int) -> DetectorConfig:
    return DetectorConfig(architecture=architecture, labels=tuple(f"class {n}" for n in range(1, classes + 1)), **sizes)


def picture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Blobs of colour on a gradient: structure at every scale, and reproducible."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pixels = np.stack([x / width * 120, y / height * 120, (x + y) / (width + height) * 120], axis=-1)
    for _ in range(12):
        centre_x, centre_y = rng.random() * width, rng.random() * height
        radius = (0.05 + 0.2 * rng.random()) * min(height, width)
        inside = (x - centre_x) ** 2 + (y - centre_y) ** 2 < radius**2
        pixels[inside] = rng.random(3) * 255
    noise = rng.normal(0, 6, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


PROPOSALS = 100  # of the full-size networks' 1000: the second stage's time grows with them, its arithmetic does not


def random_network(config: DetectorConfig, seed: int = 0) -> Any:
    """The architecture of `config` with weights that `seed` stands for, in eval mode."""
    torch.manual_seed(seed)
    network: Any = build(config).requires_grad_(False)
    if hasattr(network, "rpn"):
        network.rpn._post_nms_top_n["testing"] = PROPOSALS
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    for name, layer in network.named_modules():
        for part, spread in SPREADS.items():
            if part in name and isinstance(layer, nn.Conv2d | nn.Linear):
                _spread_once(layer, spread)
    network([as_float(picture(seed, 240, 320)) for seed in (998, 999)])
    return network.eval()


def _spread_once(layer: nn.Conv2d | nn.Linear, spread: float) -> None:
    def rescale(_: nn.Module, __: Any, output: Tensor) -> Tensor:
        handle.remove()
        gain = spread / output.std()
        layer.weight.mul_(gain)
        if layer.bias is not None:
            layer.bias.mul_(gain)
        return output * gain

    handle = layer.register_forward_hook(rescale)


def encoded(pixels: NDArray[np.uint8]) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def as_float(pixels: NDArray[np.uint8]) -> Tensor:
    """What torchvision's detectors take: [3, height, width] in 0-1."""
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float() / 255
