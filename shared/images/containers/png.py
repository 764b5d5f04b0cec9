"""PNG (W3C, third edition): a signature and a chain of chunks.

Kept are header, palette, transparency and image data. Text and colour profiles (which may be compressed bombs) and the
further frames of an animation are dropped unread. So is the one transparent colour of a 16-bit RGB picture, which
Pillow would compare with 8-bit pixels.
"""

from collections.abc import Iterator
from typing import NamedTuple

from shared.images import faults
from shared.images.containers.essence import Essence, bounded, fields
from shared.images.containers.tiff import exif_orientation

_SIGNATURE_BYTES = 8
_DEEP_RGB = bytes((16, 2))  # bits per sample and colour type, behind the size in the header chunk
_KEPT = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"})


class Chunk(NamedTuple):
    """One chunk with its length, kind and checksum: `data[start:end]`."""

    kind: bytes
    start: int
    end: int


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the header chunk, which must come first."""
    length, kind, width, height = fields(">I4sII", data, _SIGNATURE_BYTES)
    if kind != b"IHDR" or length != 13:
        raise faults.contradictory()
    return width, height


def essence(data: bytes) -> Essence:
    """The chunks that draw the picture, up to the end chunk."""
    dropped = b"tRNS" if data[24:26] == _DEEP_RGB else b""
    kept, orientation = [data[:_SIGNATURE_BYTES]], 1
    for kind, start, end in bounded(_chunks(data)):
        if kind in _KEPT and kind != dropped:
            kept.append(data[start:end])
        elif kind == b"eXIf":
            orientation = exif_orientation(data[start + 8 : end - 4])
    return Essence(b"".join(kept), orientation)


def _chunks(data: bytes) -> Iterator[Chunk]:
    position, kind = _SIGNATURE_BYTES, b""
    while kind != b"IEND":
        start = position
        length, kind = fields(">I4s", data, start)
        position = start + 12 + length
        if position > len(data):
            raise faults.truncated()
        yield Chunk(kind, start, position)
