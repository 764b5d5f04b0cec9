"""Do two forms of one network agree? Both see the same patterns, and the directions of their vectors are compared."""

import torch
import torch.nn.functional as F
from torch import Tensor


def patterns(height: int, width: int) -> list[Tensor]:
    """Noise and a gradient, uint8 [3, height, width] each: unlike a plain colour, they make all patches differ."""
    noise = torch.randint(256, (3, height, width), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    ramp = torch.linspace(0, 255, height * width).view(height, width).to(torch.uint8)
    return [noise, torch.stack([ramp, ramp.flip(0), ramp.flip(1)])]


def agreement(expected: Tensor, found: Tensor) -> float:
    """The least cosine between the vectors of both [..., width], as they are and without the mean of `expected`.

    All vectors of one network have much in common; what tells them apart shows only without it. NaN where `found`
    holds one.
    """
    rows, others = (vectors.float().reshape(-1, vectors.shape[-1]) for vectors in (expected, found))
    mean = rows.mean(dim=0)
    cosines = F.cosine_similarity(rows, others), F.cosine_similarity(rows - mean, others - mean)
    return float(torch.cat(cosines).min())
