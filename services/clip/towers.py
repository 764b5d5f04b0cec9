"""CLIP's two towers: pictures and texts into one space. Each runs only when there is something for it to read."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared import logs
from shared.accel.agreement import patterns
from shared.accel.backends import Tower
from shared.accel.pixels import PixelConfig, normalise
from shared.accel.placed import placed

Ids = tuple[int, ...]
AGREEMENT = 0.999  # least cosine between the number types

log = logs.get(__name__)


class ImageTower(nn.Module):
    """The half of a CLIPModel that sees: normalised pictures [n, 3, h, w] -> vectors [n, d] of any length."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.vision, self.projection = clip.vision_model, clip.visual_projection

    def forward(self, pictures: Tensor) -> Tensor:
        """What transformers' `get_image_features` does, in the number type of the weights."""
        seen = self.vision(pixel_values=pictures.to(self.projection.weight.dtype))
        vectors: Tensor = self.projection(seen.pooler_output)
        return vectors


class Towers:
    """The towers of one CLIPModel, on a device and in the number type of its weights.

    The text tower is torch's whatever the backend: texts differ in length, and those that come again are remembered.
    """

    def __init__(
        self, module: nn.Module, device: torch.device, pixels: PixelConfig, *, image_tower: Tower | None = None
    ) -> None:
        """`image_tower` is the one of `module` as another backend runs it."""
        self._clip: Any = placed(module, device)
        self._image_tower = ImageTower(self._clip) if image_tower is None else image_tower
        self._device, self._pixels = device, pixels

    @property
    def dtype(self) -> torch.dtype:
        """The number type of the weights."""
        dtype: torch.dtype = self._clip.dtype
        return dtype

    @torch.inference_mode()
    def see(self, pictures: Sequence[Tensor]) -> Tensor:
        """uint8 [3, h, w] each, of one size -> float32 [n, d], each row of length one."""
        pixels = normalise(torch.stack(list(pictures)).to(self._device), self._pixels)
        return _unit(self._image_tower(pixels))

    @torch.inference_mode()
    def read(self, texts: Sequence[Ids]) -> Tensor:
        """Token ids each, of any lengths -> float32 [n, d], each row of length one.

        Shorter texts are filled up with their own end mark. A text is read at the first one, and its tokens look back
        only, so what fills it up changes nothing.
        """
        longest = max(map(len, texts))
        filled = [ids + ids[-1:] * (longest - len(ids)) for ids in texts]
        return _unit(self._clip.get_text_features(torch.tensor(filled, device=self._device)).pooler_output)


def _unit(features: Tensor) -> Tensor:
    return F.normalize(features.float(), dim=-1)


def narrow(module: nn.Module, dtype: torch.dtype, *, pixels: PixelConfig, ids: Ids) -> nn.Module:
    """The float32 `module` in `dtype`, or itself where its vectors of two pictures and a text would turn too far."""
    if dtype == torch.float32:
        return module
    candidate = copy.deepcopy(module).to(dtype)
    cpu = torch.device("cpu")
    wide, narrowed = (Towers(one, cpu, pixels) for one in (module, candidate))
    pictures = patterns(*pixels.shape)
    pairs = ((wide.see(pictures), narrowed.see(pictures)), (wide.read([ids]), narrowed.read([ids])))
    agreement = min(float((one * other).sum(dim=1).min()) for one, other in pairs)
    if agreement >= AGREEMENT:
        return candidate
    log.warning("number_type_refused", dtype=str(dtype).removeprefix("torch."), cosine=round(agreement, 5))
    return module
