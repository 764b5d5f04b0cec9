"""Bytes of a picture -> RGB pixels, upright, within limits.

    probe    format and size from the header, held against the limits     nothing allocated
    essence  structure checked, everything but the first frame dropped     at most one copy of the file
    open     the one decoder of that format, never Pillow's guess          releases the GIL while it decodes
    to_rgb   every colour model as 8-bit RGB, alpha on white
    upright  EXIF orientation applied

Holds no state: any number of threads may decode at once. Pillow's own pixel limit, a global of the process, plays no
part: it is checked by `Image.open`, and the decoders are called here by name.
"""

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from shared.errors import InvalidImage, OcelliError
from shared.images import faults
from shared.images.colour import Pixels, to_rgb
from shared.images.header import CONTAINERS, Header, probe
from shared.settings import Limits

_DECODERS: dict[str, Callable[[io.BytesIO], ImageFile]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "WEBP": WebPImageFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
}
# What Pillow raises on damaged bytes. Its warnings are errors where the interpreter was told so.
_DAMAGED = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    ArithmeticError,
    AssertionError,
    struct.error,
    Warning,
)


@dataclass(frozen=True, slots=True)
class Picture:
    """An upright picture: `pixels` are HxWx3 RGB, uint8, C-contiguous and writable."""

    pixels: Pixels

    @property
    def width(self) -> int:
        """Width in pixels, after EXIF orientation."""
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels, after EXIF orientation."""
        return int(self.pixels.shape[0])


def decode(data: bytes, limits: Limits, *, field: str = "image") -> Picture:
    """Decode the first frame of `data`; `field` is what an error names as its `param`.

    Raises `InvalidImage` (400), `TooLarge` (413) or `UnsupportedMedia` (415).
    """
    try:
        header = probe(data, limits)
        essence = CONTAINERS[header.format].essence(data)
        return Picture(_upright(_draw(essence.data, header), essence.orientation))
    except OcelliError as error:
        error.param = field
        raise


def _draw(data: bytes, header: Header) -> Pixels:
    try:
        with _DECODERS[header.format](io.BytesIO(data)) as image:
            if sorted(image.size) != sorted((header.width, header.height)):
                raise faults.contradictory()
            image.load()
            return to_rgb(image)
    except _DAMAGED as error:
        raise InvalidImage() from error


def _upright(pixels: Pixels, orientation: int) -> Pixels:
    """Undo the turn or mirroring that EXIF tag 274 tells: 5 to 8 swap the axes, then rows or columns are reversed."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        pixels = pixels[::-1]
    if orientation in {2, 3, 6, 7}:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
