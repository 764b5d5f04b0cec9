"""BMP (Windows device-independent bitmap): a fixed header, a palette, rows of pixels."""

from shared.images import faults
from shared.images.containers.essence import Essence, fields

_FILE_HEADER_BYTES = 14
_OLD_HEADER_BYTES = 12  # OS/2: 16-bit sizes and no compression
_RUN_LENGTHS = frozenset({1, 2})


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels; a negative height means that the first row is the top one."""
    if _header_bytes(data) == _OLD_HEADER_BYTES:
        width, height = fields("<HH", data, 18)
    else:
        width, height = fields("<ii", data, 18)
    return width, abs(height)


def essence(data: bytes) -> Essence:
    """The file itself, once all its rows are there."""
    old = _header_bytes(data) == _OLD_HEADER_BYTES
    bits, compression = (fields("<H", data, 24)[0], 0) if old else fields("<HI", data, 28)
    if compression in _RUN_LENGTHS:
        # Pillow unpacks these in pure Python, a second per megabyte, which would hold all other threads up.
        raise faults.unsupported("A run-length coded BMP")
    width, height = size(data)
    row_bytes = (width * bits + 31) // 32 * 4
    if fields("<I", data, 10)[0] + row_bytes * height > len(data):
        raise faults.truncated()
    return Essence(data)


def _header_bytes(data: bytes) -> int:
    length: int = fields("<I", data, _FILE_HEADER_BYTES)[0]
    return length
