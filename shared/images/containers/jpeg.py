"""JPEG (ITU-T T.81, annex B): a chain of marker segments, with entropy-coded data after each start of scan.

Kept are the segments that the decoder needs: JFIF and Adobe (they tell the colour space), tables, frame and scans.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from shared.images import faults
from shared.images.containers.essence import Essence, bounded, fields
from shared.images.containers.tiff import exif_orientation

MAX_SCANS = 32  # a progressive file has 10, with four inks 18; each scan passes over all pixels again
_START_OF_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JFIF, _EXIF, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_DROPPED = frozenset(range(0xE0, 0xF0)) - {_JFIF, _ADOBE} | {_COMMENT}
# Stuffed zeros, restart markers and fill bytes belong to the data around them.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")


class Segment(NamedTuple):
    """One marker with its payload and, for a scan, the data behind it: `data[start:end]`."""

    marker: int
    start: int
    end: int


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels, from the first frame header."""
    for segment in bounded(_segments(data)):
        if segment.marker in _FRAMES:
            height, width = fields(">HH", data, segment.start + 5)
            return width, height
        if segment.marker == _START_OF_SCAN:
            break
    raise faults.contradictory()


def essence(data: bytes) -> Essence:
    """The segments that draw the picture, up to the end marker."""
    kept, scans, orientation = [b"\xff\xd8"], 0, 1
    for marker, start, end in bounded(_segments(data)):
        if marker not in _DROPPED:
            kept.append(data[start:end])
            scans += marker == _START_OF_SCAN
        elif marker == _EXIF and data[start + 4 : start + 10] == b"Exif\0\0":
            orientation = exif_orientation(data[start + 10 : end])
        if scans > MAX_SCANS:
            raise faults.intricate()
    return Essence(b"".join(kept), orientation)


def _segments(data: bytes) -> Iterator[Segment]:
    position, marker = 2, None
    while marker != _END:
        found = _MARKER.search(data, position)
        if not found:
            raise faults.truncated()
        start, marker = found.start(), found[1][0]
        position = found.end() if marker == _END else found.end() + fields(">H", data, found.end())[0]
        following = _MARKER.search(data, position) if marker == _START_OF_SCAN else None
        position = following.start() if following else position
        if position > len(data):
            raise faults.truncated()
        yield Segment(marker, start, position)
