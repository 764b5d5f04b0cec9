"""What a picture's first bytes tell, before anything is decoded: its format and its size.

Flow: magic number -> the container's own reader of the size -> limits. Nothing is allocated on the way, so that a
picture of a few kilobytes that would unpack to gigabytes costs as little as any other refused one.
"""

import re
from dataclasses import dataclass
from typing import Literal

from shared.errors import UnsupportedMedia
from shared.images import faults
from shared.images.containers import bmp, gif, jpeg, png, tiff, webp
from shared.images.containers.essence import Container
from shared.settings import Limits

Format = Literal["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
CONTAINERS: dict[Format, Container] = {
    "JPEG": jpeg,
    "PNG": png,
    "WEBP": webp,
    "GIF": gif,
    "BMP": bmp,
    "TIFF": tiff,
}
_MAGIC: dict[Format, re.Pattern[bytes]] = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "WEBP": re.compile(rb"RIFF....WEBP", re.DOTALL),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM"),
    "TIFF": re.compile(rb"II\x2a\0|MM\0\x2a|II\x2b\0|MM\0\x2b"),
}


@dataclass(frozen=True, slots=True)
class Header:
    """Format and size in pixels, as stored: EXIF orientation may still swap width and height."""

    format: Format
    width: int
    height: int


def probe(data: bytes, limits: Limits) -> Header:
    """Read the header of `data` and hold it against `limits`.

    Raises `InvalidImage` (empty, truncated, damaged), `UnsupportedMedia` (none of the six formats) and `TooLarge`.
    """
    if not data:
        raise faults.empty()
    kind = sniff(data)
    width, height = CONTAINERS[kind].size(data)
    if width < 1 or height < 1:
        raise faults.contradictory()
    if max(width, height) > limits.image_side or width * height > limits.image_pixels:
        raise faults.too_large(width, height, limits)
    return Header(kind, width, height)


def sniff(data: bytes) -> Format:
    """The format that the magic number tells, whatever name or type the file came with. Raises `UnsupportedMedia`."""
    for kind, magic in _MAGIC.items():
        if magic.match(data):
            return kind
    raise UnsupportedMedia()
