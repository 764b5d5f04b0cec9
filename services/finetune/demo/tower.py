"""The vision tower that CLIP and OWL-ViT start from: a ViT of four layers that learns from every patch (see `dense`).

filters and positions -> pictures -> outputs of every patch -> dense loss -> step
"""

from math import pi
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from transformers import OwlViTVisionConfig, OwlViTVisionModel

from services.finetune.demo import dense
from services.finetune.demo.learner import Learner, Rates
from services.finetune.demo.pictures import GRID, PATCH, SIDE, WORLD, Dataset, varied
from services.finetune.demo.progress import Progress

WIDTH, LAYERS, HEADS = 128, 4, 4
BATCH = 64
PICTURES = 24_000  # drawn once, seen several times
GREY = 0.15  # share of pictures without colours: a shape must be known without its colour
NOISE = 0.1  # spread of the brightness that is added to each channel, in normalised units
RATES = Rates(muon={"": 8e-3}, adam={"": 2e-3})


def config() -> dict[str, Any]:
    """What the vision configurations of both models have in common: 8 x 8 patches; 0.9 million parameters."""
    return {
        "hidden_size": WIDTH,
        "intermediate_size": 4 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "image_size": SIDE,
        "patch_size": PATCH,
    }


def build() -> OwlViTVisionModel:
    """A tower that begins with cosine filters and sine positions instead of random ones: it learns much earlier."""
    tower = OwlViTVisionModel(OwlViTVisionConfig(**config()))
    embeddings = tower.vision_model.embeddings
    with torch.no_grad():
        filters = embeddings.patch_embedding.weight
        filters.copy_(cosine_filters(filters.shape[0]) * (1 + 0.02 * torch.randn(filters.shape[0], 1, 1, 1)))
        embeddings.position_embedding.weight[1:] = sine_positions(WIDTH)
    return tower


def train(tower: nn.Module, layer: nn.Linear, *, steps: int, seed: int, pictures: int = PICTURES) -> None:
    """Train the tower and the dense head in place."""
    data = Dataset(varied(WORLD), seed=seed, count=min(pictures, steps * BATCH))
    learner = Learner(nn.ModuleList([tower, layer]), RATES, steps=steps)
    progress, rng = Progress("tower", steps), Random(f"{seed}/tower")
    for step in range(steps):
        chosen = rng.choices(range(len(data)), k=BATCH)
        pixels, truth = data.pixels(chosen), data.truth(chosen)
        grey = torch.rand(BATCH) < GREY
        pixels[grey] = pixels[grey].mean(1, keepdim=True)
        pixels += NOISE * torch.randn(BATCH, 3, 1, 1)
        loss = dense.dense_loss(layer(tower(pixels).last_hidden_state[:, 1:]), truth, grey=grey)
        learner.step(loss)
        progress.tell(step + 1, f"loss {loss.item():.3f}")


def cosine_filters(count: int) -> Tensor:
    """The patterns of lowest frequency of a patch, `[count, 3, 16, 16]`: half in brightness, half in colour."""
    points = torch.arange(PATCH) + 0.5
    waves = torch.stack([torch.cos(pi * points * k / PATCH) * (2 / PATCH) ** 0.5 for k in range(PATCH)])
    waves[0] /= 2**0.5
    order = sorted(((u, v) for u in range(PATCH) for v in range(PATCH)), key=lambda f: f[0] ** 2 + f[1] ** 2)
    patterns = torch.stack([torch.outer(waves[u], waves[v]) for u, v in order])
    axes = nn.functional.normalize(torch.tensor([[1.0, 1, 1], [1, 0, -1], [0.5, -1, 0.5]]))
    shares = (count // 2, count // 4, count - count // 2 - count // 4)
    return torch.cat([axis[:, None, None] * patterns[:n, None] for axis, n in zip(axes, shares, strict=True)])


def sine_positions(width: int) -> Tensor:
    """Sines and cosines of each patch's column and row, turned at random: `[patches, width]`."""
    rows, columns = torch.meshgrid(torch.arange(GRID), torch.arange(GRID), indexing="ij")
    rates = 50 ** -(torch.arange(width // 4) / (width // 4))
    angles = torch.cat([columns.reshape(-1, 1) * rates, rows.reshape(-1, 1) * rates], dim=1)
    turn: Tensor = torch.linalg.qr(torch.randn(width, width)).Q
    return torch.cat([angles.sin(), angles.cos()], dim=1) @ turn
