"""What a container boils down to, and how its fields and parts are read."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from shared.images import faults

MAX_PARTS = 100_000  # 20 MB in the smallest parts that encoders write (GIF: 255 bytes) are 78,000
Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Essence:
    """The bytes that draw the first frame, and the EXIF orientation (1 to 8) still to be applied."""

    data: bytes
    orientation: int = 1


class Container(Protocol):
    """What each module of this package is."""

    def size(self, data: bytes) -> tuple[int, int]:
        """Width and height in pixels, as stored."""

    def essence(self, data: bytes) -> Essence:
        """What draws the first frame."""


def bounded(parts: Iterator[Part], most: int = MAX_PARTS) -> Iterator[Part]:
    """Pass `parts` on; refuse the picture at the first one beyond `most`."""
    for count, part in enumerate(parts):
        if count == most:
            raise faults.intricate()
        yield part


def fields(layout: str, data: bytes, position: int) -> tuple[Any, ...]:
    """The fields that `layout` (of the struct module) describes; refuses the picture where it ends before they do."""
    try:
        return struct.unpack_from(layout, data, position)
    except struct.error as error:
        raise faults.truncated() from error
