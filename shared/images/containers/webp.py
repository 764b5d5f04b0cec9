"""WebP (RFC 9649): a RIFF file whose first chunk tells the size in one of three ways.

The size must be known before libwebp sees the bytes: its decoder maps two canvases when it is made, so that a 10 KB
file of 16383 x 16383 pixels maps 2 GB by being opened.
"""

from shared.images import faults
from shared.images.containers.essence import MAX_PARTS, Essence, fields
from shared.images.containers.tiff import exif_orientation

_HEADER_BYTES = 12
_PAYLOAD = _HEADER_BYTES + 8
_14_BITS = 0x3FFF


def size(data: bytes) -> tuple[int, int]:
    """Width and height of the canvas in pixels."""
    (kind,) = fields("4s", data, _HEADER_BYTES)
    if kind == b"VP8X":
        low, high = fields("<QH", data, _PAYLOAD)
        return (low >> 32 & 0xFFFFFF) + 1, (low >> 56 | high << 8) + 1
    if kind == b"VP8L":
        signature, bits = fields("<BI", data, _PAYLOAD)
        if signature == 0x2F:
            return (bits & _14_BITS) + 1, (bits >> 14 & _14_BITS) + 1
    if kind == b"VP8 ":
        start_code, width, height = fields("<3sHH", data, _PAYLOAD + 3)
        if start_code == b"\x9d\x01\x2a":
            return width & _14_BITS, height & _14_BITS
    raise faults.contradictory()


def essence(data: bytes) -> Essence:
    """The file up to the length that it tells; libwebp itself reads neither profile nor EXIF."""
    end = fields("<I", data, 4)[0] + 8
    if end > len(data):
        raise faults.truncated()
    return Essence(data[:end], _orientation(data, end))


def _orientation(data: bytes, end: int) -> int:
    position = _HEADER_BYTES
    for _ in range(MAX_PARTS):
        if position + 8 > end:
            return 1
        kind, length = fields("<4sI", data, position)
        if kind == b"EXIF":
            return exif_orientation(data[position + 8 : position + 8 + length])
        position += 8 + length + length % 2
    raise faults.intricate()
