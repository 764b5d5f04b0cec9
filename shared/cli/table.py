"""Plain text for a terminal: aligned columns, sizes and times that a person reads."""

from collections.abc import Sequence
from datetime import UTC, datetime

UNITS = ("B", "kB", "MB", "GB", "TB")


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows below a head, each column as wide as its widest cell, two spaces between, none at the ends of lines."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (head, *rows))
    return "\n".join(line.rstrip() for line in lines)


def size(count: int) -> str:
    """Bytes with three digits: `482 B`, `3.91 MB`."""
    value, unit = float(count), 0
    while value >= 999.5 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.3g} {UNITS[unit]}"


def when(moment: datetime) -> str:
    """A time to the minute, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
