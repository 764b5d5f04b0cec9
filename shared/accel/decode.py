"""Bytes of a picture -> pixels as a tensor, with the limits and the errors of `shared.images.decode`.

A JPEG that stands upright and has one or three colours goes through torchvision, which is the faster one and agrees
to the last bit. Everything else goes through `shared.images.decode`: other formats, EXIF orientation, CMYK, and what
torchvision refuses, so that one place says what is wrong with a picture.
"""

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from shared.errors import OcelliError
from shared.images import decode as general
from shared.images.containers import jpeg
from shared.images.header import probe
from shared.settings import Limits


def decode(data: bytes, limits: Limits, *, field: str = "image") -> Tensor:
    """The upright picture as uint8 [3, height, width], in the memory layout [height, width, 3].

    Raises `InvalidImage` (400), `TooLarge` (413) or `UnsupportedMedia` (415), each naming `field`.
    """
    pixels = _plain_jpeg(data, limits)
    if pixels is not None:
        return pixels
    return torch.from_numpy(general.decode(data, limits, field=field).pixels).permute(2, 0, 1)


def _plain_jpeg(data: bytes, limits: Limits) -> Tensor | None:
    """The pixels of a JPEG that torchvision decodes exactly; None for anything else, damaged pictures included."""
    try:
        header = probe(data, limits)
        if header.format != "JPEG":
            return None
        essence = jpeg.essence(data)
        if essence.orientation != 1:
            return None
        pixels: Tensor = decode_jpeg(
            torch.frombuffer(bytearray(essence.data), dtype=torch.uint8), ImageReadMode.UNCHANGED
        )
    except (OcelliError, RuntimeError):
        return None
    if pixels.shape[0] not in {1, 3} or pixels.shape[1:] != (header.height, header.width):
        return None
    return pixels.expand(3, -1, -1)
