"""TIFF 6.0 and BigTIFF: a directory of tags that point into the file. EXIF is a small TIFF of its own.

A directory may claim the same bytes in many tags; one whose tags together are longer than the file is refused, since a
reader that copies each of them would multiply the file by its number of tags.
"""

import struct
from dataclasses import dataclass

from shared.errors import OcelliError
from shared.images import faults
from shared.images.containers.essence import MAX_PARTS, Essence, fields

_WIDTH, _HEIGHT, _COMPRESSION, _ORIENTATION = 256, 257, 259, 274
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
_OFFSETS, _LENGTHS = (273, 324), (279, 325)  # of strips, of tiles
_INTEGERS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
# None, CCITT (3), LZW, JPEG, Deflate (2), PackBits. libtiff has a dozen more that hardly anybody writes.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32946, 32773})
_LONGEST_TILE = 4096


@dataclass(frozen=True, slots=True)
class Directory:
    """The first directory of a TIFF: for each tag its type, its number of values and where they are."""

    data: bytes
    order: str
    tags: dict[int, tuple[int, int, int]]

    def values(self, tag: int) -> tuple[int, ...]:
        """The integers of a tag; empty where it is missing or no integer."""
        kind, count, position = self.tags.get(tag, (0, 0, 0))
        if kind not in _INTEGERS:
            return ()
        if count > MAX_PARTS:
            raise faults.intricate()
        return fields(f"{self.order}{count}{_INTEGERS[kind]}", self.data, position)

    def value(self, tag: int, default: int) -> int:
        """The first integer of a tag."""
        return next(iter(self.values(tag)), default)


def read_directory(data: bytes) -> Directory:
    """The first directory of `data`, whose byte order mark comes first."""
    order = "<" if data[:2] == b"II" else ">"
    big = fields(f"{order}H", data, 2)[0] == 43
    start = min(fields(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0], len(data))
    count = fields(f"{order}Q" if big else f"{order}H", data, start)[0]
    entry, inline, first = (f"{order}HHQQ", 8, start + 8) if big else (f"{order}HHII", 4, start + 2)
    entry_bytes, total = struct.calcsize(entry), 0
    tags: dict[int, tuple[int, int, int]] = {}
    for position in range(first, first + min(count, MAX_PARTS) * entry_bytes, entry_bytes):
        tag, kind, values, offset = fields(entry, data, position)
        length = values * _TYPE_BYTES.get(kind, 1)
        total += length
        if total > len(data):
            raise faults.contradictory()
        where = position + entry_bytes - inline if length <= inline else min(offset, len(data))
        tags.setdefault(tag, (kind, values, where))
    return Directory(data, order, tags)


def exif_orientation(exif: bytes) -> int:
    """The orientation (1 to 8) that a block of EXIF tells; 1 where it is damaged or silent."""
    try:
        orientation = read_directory(exif).value(_ORIENTATION, 1)
    except OcelliError:
        return 1
    return orientation if 1 <= orientation <= 8 else 1


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the first page."""
    directory = read_directory(data)
    return directory.value(_WIDTH, 0), directory.value(_HEIGHT, 0)


def essence(data: bytes) -> Essence:
    """The file itself, once its strips or tiles are there. Its orientation is applied by the decoder."""
    directory = read_directory(data)
    if directory.value(_COMPRESSION, 1) not in _COMPRESSIONS:
        raise faults.unsupported("This compression of TIFF")
    if max(directory.value(_TILE_WIDTH, 0), directory.value(_TILE_HEIGHT, 0)) > _LONGEST_TILE:
        raise faults.intricate()  # a tile is unpacked whole, however small the picture is
    for offsets, lengths in zip(_OFFSETS, _LENGTHS, strict=True):
        ends = zip(directory.values(offsets), directory.values(lengths), strict=False)
        if any(offset + length > len(data) for offset, length in ends):
            raise faults.truncated()
    return Essence(data)
