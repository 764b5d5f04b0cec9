"""Every colour model that the six formats know, as 8-bit RGB.

* Alpha is composited on white, the paper that transparent pictures are drawn for.
* 16-bit grey is scaled (v / 257, rounded); Pillow alone would clip it. In 16-bit RGB(A), Pillow keeps the high byte,
  which differs from v / 257 by at most one level.
* Float TIFF is scaled from its `SMinSampleValue`..`SMaxSampleValue` tags, or from 0..1 without them; NaN is black.
* CMYK is converted without a profile; embedded profiles are not applied.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from shared.images import faults

Pixels = NDArray[np.uint8]
_BITS, _PHOTOMETRIC, _LEAST, _MOST = 258, 262, 340, 341  # TIFF tags
_WHITE_IS_ZERO = 0


def to_rgb(image: Image.Image) -> Pixels:
    """The pixels of a loaded `image` as a writable, C-contiguous HxWx3 array of RGB. Raises `InvalidImage`."""
    if image.mode.startswith("I;16"):
        return _spread(_from_16_bits(image), image)
    if image.mode == "F":
        return _spread(_from_floats(image), image)
    if image.mode == "I":
        raise faults.unsupported("A picture with signed or 32-bit samples")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for one of Adobe's, which store ink inverted
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        opaque.alpha_composite(image.convert("RGBA"))
        image = opaque
    return np.array(image if image.mode == "RGB" else image.convert("RGB"))


def _from_16_bits(image: Image.Image) -> Pixels:
    values: NDArray[np.uint16] = np.asarray(image).astype(np.uint16)
    if _tag(image, _BITS, 16) == 12:
        values = (values << 4 | values >> 8).astype(np.uint16)
    levels = (values.astype(np.uint32) * 255 + 32_895 >> 16).astype(np.uint8)  # round(v / 257), exact for all 16 bits
    return 255 - levels if _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO else levels


def _from_floats(image: Image.Image) -> Pixels:
    values = np.asarray(image)
    least, most = _tag(image, _LEAST, 0.0), _tag(image, _MOST, 1.0)
    if not -np.inf < least < most < np.inf:
        raise faults.contradictory()
    scaled = np.nan_to_num((values.astype(np.float64) - least) / (most - least), nan=0.0)
    levels = np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return 255 - levels if _tag(image, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO else levels


def _spread(grey: Pixels, image: Image.Image) -> Pixels:
    """One channel as three; the one transparent value of a 16-bit grey PNG becomes white."""
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(np.asarray(image) == transparent, np.uint8(255), grey)
    return np.repeat(grey[:, :, None], 3, axis=2)


def _tag(image: Image.Image, tag: int, default: float) -> float:
    value = getattr(image, "tag_v2", {}).get(tag, default)
    return float(value[0] if isinstance(value, tuple) else value)
