"""OWLv2's resize: pad to a square, blur against aliasing, and interpolate bilinearly.

All three are linear and separable, so one sparse matrix per axis does them: output row i is a weighted sum of the few
input rows around its centre. The padding, which is zero, is never made: a long narrow picture costs what its own pixels
cost, not those of the square. Equal to Owlv2ImageProcessor up to the rounding to 8 bits.
"""

import math

import torch
from torch import Tensor


def to_square(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """uint8 [3, h, w] -> uint8 [3, *size]: zeros at the right or lower border up to a square, then resized."""
    _, height, width = pixels.shape
    side = max(height, width)
    rows = pixels.permute(1, 2, 0).reshape(height, width * 3)
    rows = _resample(rows, side, size[0]).view(size[0], width, 3).transpose(0, 1).reshape(width, size[0] * 3)
    levels = _resample(rows, side, size[1]).view(size[1], size[0], 3)
    return levels.permute(2, 1, 0).round().clamp(0, 255).to(torch.uint8)


def _resample(rows: Tensor, side: int, size: int) -> Tensor:
    """`rows` [k, m], followed by zero rows up to `side`, blurred and resized to float32 [size, m]."""
    taken, weights = _taps(side, size)
    padding = taken >= len(rows)
    weights, taken = weights.masked_fill(padding, 0), taken.clamp(max=len(rows) - 1)
    (live,) = (~padding.all(dim=1)).nonzero(as_tuple=True)
    sums = torch.zeros(len(live), rows.shape[1])
    for source, weight in zip(taken[live].T, weights[live].T, strict=True):
        sums.addcmul_(rows[source].float(), weight[:, None])
    return torch.zeros(size, rows.shape[1]).index_copy_(0, live, sums)


def _taps(side: int, size: int) -> tuple[Tensor, Tensor]:
    """Which rows of `side` make up each of `size` rows, and with which weights: both [size, taps]."""
    blur = _gaussian(side / size)
    centres = ((torch.arange(size, dtype=torch.float64) + 0.5) * (side / size) - 0.5).clamp(min=0)
    upper = centres.floor()
    share = (centres - upper)[:, None]
    weights = torch.nn.functional.pad(blur * (1 - share), (0, 1)) + torch.nn.functional.pad(blur * share, (1, 0))
    radius = len(blur) // 2
    taken = upper.long()[:, None] + torch.arange(-radius, radius + 2)
    if len(blur) == 1:
        taken = taken.clamp(max=side - 1)
    else:  # the blur mirrors the picture at its borders
        taken = taken.abs()
        taken = torch.where(taken < side, taken, 2 * (side - 1) - taken)
    return taken, weights.float()


def _gaussian(factor: float) -> Tensor:
    """The weights against aliasing of a picture that shrinks by `factor`; a single 1 where it grows."""
    sigma = (factor - 1) / 2
    if sigma <= 0:
        return torch.ones(1, dtype=torch.float64)
    radius = math.ceil(3 * sigma)
    distances = torch.arange(-radius, radius + 1, dtype=torch.float64)
    return torch.softmax(-((distances / sigma) ** 2) / 2, dim=0)
