"""What speakers read, kept dense: the keys and values of each in a row of its own, so that a step gathers nothing.

pages -> a row, once its sequence speaks -> a token more at each step -> who ends is followed in by the last row

Gathering the blocks of eight speakers anew at each step costs a CPU as much as all linear layers, and a GPU three times
the traffic of keys and values. The pages stay the truth: a row that does not go on where it was left is copied again.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from services.llava.scheduler import Chunk
from services.llava.sequence import Sequence as Row
from shared.accel.transfer import sent

SHORTEST = 128  # tokens of a row; rows and tokens double from there, since whoever is there is copied then


class Desk:
    """Rows `[layers, rows, heads, tokens, width]` of keys and of values beside `pages`, in at most `size` bytes."""

    def __init__(self, keys: Tensor, values: Tensor, *, size: int, fixed: bool = False) -> None:
        """`keys` and `values` are the pages `[layers, blocks, BLOCK, heads, width]`.

        `fixed` takes all of `size` at once and stays there: rows of one `shape` are then always in the same place.
        """
        self._pages, self._size = (keys, values), size
        each = size // 2 // keys.itemsize
        self._places = (keys.new_zeros(each), values.new_zeros(each)) if fixed else None
        self._rows: list[Row] = []
        self._filled: list[int] = []  # how many tokens of each row are there
        self._kept = self._empty(0, 0)

    @property
    def shape(self) -> tuple[int, int]:
        """How many rows there are, of how many tokens each."""
        _, rows, _, tokens, _ = self._kept[0].shape
        return rows, tokens

    def seat(self, chunks: Sequence[Chunk]) -> list[Chunk] | None:
        """Chunks of one token in the order of their rows; None where there is not enough room for all of them."""
        by_row = {chunk.row: chunk for chunk in chunks}
        for index in reversed(range(len(self._rows))):
            chunk = by_row.get(self._rows[index])
            if chunk is None or chunk.start != self._filled[index]:
                self._leave(index)
        if not self._fits(len(chunks), max(chunk.stop for chunk in chunks)):
            return None
        for chunk in chunks:
            if chunk.row not in self._rows:
                self._copy(chunk)
        self._filled = [filled + 1 for filled in self._filled]
        return [by_row[row] for row in self._rows]

    def write(self, layer: int, positions: Tensor, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values `[rows, heads, width]` of the tokens at `positions`, one of each row."""
        rows = torch.arange(len(positions), device=positions.device)
        for kept, written in zip(self._kept, (keys, values), strict=True):
            kept[layer][rows, :, positions] = written

    def read(self, layer: int, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
        """Keys and values of the first `tokens` of the first `rows`: `[rows, heads, tokens, width]` each."""
        keys, values = (kept[layer, :rows, :, :tokens] for kept in self._kept)
        return keys, values

    def _leave(self, index: int) -> None:
        last = len(self._rows) - 1
        for kept in self._kept:
            kept[:, index, :, : self._filled[last]] = kept[:, last, :, : self._filled[last]]
        self._rows[index], self._filled[index] = self._rows[last], self._filled[last]
        del self._rows[last], self._filled[last]

    def _copy(self, chunk: Chunk) -> None:
        blocks = sent(chunk.row.blocks, self._kept[0].device)
        for kept, pages in zip(self._kept, self._pages, strict=True):
            dense = pages.index_select(1, blocks).flatten(1, 2)[:, : chunk.start]  # [layers, tokens, heads, width]
            kept[:, len(self._rows), :, : chunk.start] = dense.transpose(1, 2)
        self._rows.append(chunk.row)
        self._filled.append(chunk.start)

    def _fits(self, rows: int, tokens: int) -> bool:
        """Whether there is room, after making more where that is allowed."""
        most, longest = self.shape
        if rows <= most and tokens <= longest:
            return True
        self._rows, self._filled, self._kept = [], [], self._empty(0, 0)
        rows, tokens = _doubled(max(rows, most), 1), _doubled(max(tokens, longest), SHORTEST)
        layers, _, _, heads, width = self._pages[0].shape
        if 2 * layers * rows * heads * tokens * width * self._pages[0].itemsize > self._size:
            return False
        self._kept = self._empty(rows, tokens)
        return True

    def _empty(self, rows: int, tokens: int) -> tuple[Tensor, Tensor]:
        layers, _, _, heads, width = self._pages[0].shape
        shape = (layers, rows, heads, tokens, width)
        if self._places:
            keys, values = (each[: math.prod(shape)].view(shape) for each in self._places)
        else:
            keys, values = (pages.new_zeros(shape) for pages in self._pages)
        return keys, values


def _doubled(least: int, size: int) -> int:
    while size < least:
        size *= 2
    return size
