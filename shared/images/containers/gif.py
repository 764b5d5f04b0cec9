"""GIF (89a specification): a screen, and blocks until the trailer.

Kept are the screen, the first frame and the control extension that belongs to it (its transparency). Comments,
applications and all further frames are dropped.
"""

from typing import NamedTuple

from shared.images import faults
from shared.images.containers.essence import MAX_PARTS, Essence, fields

_SCREEN_BYTES = 13
_EXTENSION, _FRAME, _TRAILER, _CONTROL = 0x21, 0x2C, 0x3B, 0xF9


class Blocks(NamedTuple):
    """Where the first frame and its control extension begin (a length of 0: there is none)."""

    frame: int
    control: int
    control_end: int


def size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of the screen, stretched where the first frame reaches beyond it."""
    screen_width, screen_height = fields("<HH", data, 6)
    left, top, width, height = fields("<HHHH", data, _first(data).frame + 1)
    return max(screen_width, left + width), max(screen_height, top + height)


def essence(data: bytes) -> Essence:
    """Screen, control extension, first frame, trailer."""
    frame, control, control_end = _first(data)
    table = _table_bytes(fields("<B", data, frame + 9)[0])
    end = _skip(data, frame + 10 + table + 1)
    screen = data[: _screen_end(data)]
    return Essence(b"".join((screen, data[control:control_end], data[frame:end], bytes((_TRAILER,)))))


def _first(data: bytes) -> Blocks:
    position, control, control_end = _screen_end(data), 0, 0
    for _ in range(MAX_PARTS):
        kind, label = fields("<BB", data, position)
        if kind == _FRAME:
            return Blocks(position, control, control_end)
        if kind != _EXTENSION:
            raise faults.contradictory()
        end = _skip(data, position + 2)
        if label == _CONTROL:
            control, control_end = position, end
        position = end
    raise faults.intricate()


def _screen_end(data: bytes) -> int:
    return _SCREEN_BYTES + _table_bytes(fields("<B", data, 10)[0])


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip(data: bytes, position: int) -> int:
    """The position behind a chain of sub-blocks, each of which begins with its length; 0 ends it."""
    try:
        for _ in range(MAX_PARTS):
            length = data[position]
            position += 1 + length
            if not length:
                return position
    except IndexError:
        raise faults.truncated() from None
    raise faults.intricate()
