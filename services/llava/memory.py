"""Keys and values of all sequences, in blocks, and where those of one step are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.llava.blocks import BLOCK
from services.llava.scheduler import Chunk


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one step whose queries are as many: `rows` of the step's tokens, `[n, q]` as one range of them.

    table   blocks that they read, `[n, b]`
    mask    which of those places each query may see, `[n, 1, q, b * BLOCK]`
    """

    start: int
    stop: int
    count: int
    table: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """The tokens of one step, those of all chunks in a row: their places in memory, positions, and who sees what."""

    places: Tensor
    positions: Tensor
    groups: tuple[Group, ...]


class Memory:
    """The blocks of every layer, keys and values apart: `[layers, blocks, BLOCK, heads, width]` each."""

    def __init__(self, config: Any, *, blocks: int, device: torch.device, dtype: torch.dtype) -> None:
        """`config` is that of a Llama."""
        self.heads, self.width = config.num_key_value_heads, config.head_dim
        shape = (config.num_hidden_layers, blocks, BLOCK, self.heads, self.width)
        # Zeros, since what is masked must be finite.
        self._keys, self._values = (torch.zeros(shape, device=device, dtype=dtype) for _ in range(2))
        self._device = device

    def layout(self, chunks: Sequence[Chunk]) -> Layout:
        """Where the tokens of a step are, the speakers first. `chunks` are in that order."""
        places: list[int] = []
        positions: list[int] = []
        for chunk in chunks:
            span = range(chunk.start, chunk.stop)
            places += [chunk.row.blocks[p // BLOCK] * BLOCK + p % BLOCK for p in span]
            positions += span
        singles = [chunk for chunk in chunks if chunk.stop - chunk.start == 1]
        groups, start = [], 0
        for together in [singles, *([c] for c in chunks if c.stop - c.start > 1)]:
            if together:
                groups.append(self._group(together, start))
                start = groups[-1].stop
        return Layout(self._tensor(places), self._tensor(positions), tuple(groups))

    def write(self, layer: int, layout: Layout, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values `[t, heads, width]` of the step's tokens."""
        for pages, written in ((self._keys, keys), (self._values, values)):
            pages[layer].flatten(0, 1).index_copy_(0, layout.places, written)

    def read(self, layer: int, group: Group) -> tuple[Tensor, Tensor]:
        """Keys and values that a group may see: `[n, heads, b * BLOCK, width]` each."""
        return self._gather(self._keys[layer], group.table), self._gather(self._values[layer], group.table)

    def _gather(self, pages: Tensor, table: Tensor) -> Tensor:
        found = pages.index_select(0, table.flatten())
        return found.view(len(table), -1, self.heads, self.width).transpose(1, 2)

    def _group(self, chunks: Sequence[Chunk], start: int) -> Group:
        queries = chunks[0].stop - chunks[0].start
        blocks = -(-max(chunk.stop for chunk in chunks) // BLOCK)
        table = [(chunk.row.blocks + [0] * blocks)[:blocks] for chunk in chunks]
        first = self._tensor([chunk.start for chunk in chunks])
        latest = first[:, None] + torch.arange(queries, device=self._device)
        mask = torch.arange(blocks * BLOCK, device=self._device) <= latest[..., None]
        return Group(start, start + queries * len(chunks), len(chunks), self._tensor(table), mask[:, None])

    def _tensor(self, values: Any) -> Tensor:
        return torch.tensor(values, device=self._device)


def bytes_per_block(config: Any, dtype: torch.dtype) -> int:
    """What one block takes, over all layers."""
    size: int = config.num_hidden_layers * 2 * BLOCK * config.num_key_value_heads * config.head_dim * dtype.itemsize
    return size
