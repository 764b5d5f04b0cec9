"""Keys and values of all sequences, in blocks, and where those of one step are.

chunks -> speakers in the order of the desk, then readers -> places to write -> groups that read together
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from services.llava.blocks import BLOCK
from services.llava.desk import Desk
from services.llava.scheduler import Chunk
from shared.accel.transfer import sent


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one step whose queries are as many: `rows` of the step's tokens, `[n, q]` as one range of them.

    mask    0 for the places that each query may see, minus infinity for others, `[n, 1, q, tokens]`
    table   blocks that they read, `[n, b]`; None for those who are at the desk
    """

    start: int
    stop: int
    count: int
    mask: Tensor
    table: Tensor | None


@dataclass(frozen=True, slots=True)
class Layout:
    """The tokens of one step, those of all `chunks` in a row: their places in memory, positions, and who sees what."""

    chunks: tuple[Chunk, ...]
    places: Tensor
    positions: Tensor
    groups: tuple[Group, ...]


class Memory:
    """The blocks of every layer, keys and values apart: `[layers, blocks + 1, BLOCK, heads, width]` each.

    The last one, `scratch`, belongs to nobody: rows that only fill up a step write there.
    """

    def __init__(self, config: Any, *, blocks: int, like: Tensor, desk: int = 0, fixed: bool = False) -> None:
        """`config` is that of a Llama; numbers are of the kind of `like`, and where it is.

        `desk` is how many bytes may be kept dense beside the blocks; `fixed` as in `Desk`.
        """
        self.heads, self.width = config.num_key_value_heads, config.head_dim
        self.scratch = blocks
        shape = (config.num_hidden_layers, blocks + 1, BLOCK, self.heads, self.width)
        # Zeros, since what is masked must be finite.
        self._keys, self._values = (like.new_zeros(shape) for _ in range(2))
        self._desk = Desk(self._keys, self._values, size=desk, fixed=fixed)
        self._device = like.device

    def layout(self, chunks: Sequence[Chunk]) -> Layout:
        """Where the tokens of a step are, those who speak first."""
        singles = [chunk for chunk in chunks if chunk.stop - chunk.start == 1]
        seated = self._desk.seat(singles) if singles else []
        parts = [seated or singles, *([chunk] for chunk in chunks if chunk.stop - chunk.start > 1)]
        ordered = [chunk for part in parts for chunk in part]
        groups, start = [], 0
        for index, part in enumerate(parts):
            if part:
                groups.append(self._group(part, start, gathered=index > 0 or not seated))
                start = groups[-1].stop
        spans = [(chunk, position) for chunk in ordered for position in range(chunk.start, chunk.stop)]
        places = [chunk.row.blocks[p // BLOCK] * BLOCK + p % BLOCK for chunk, p in spans]
        return Layout(tuple(ordered), self._tensor(places), self._tensor([p for _, p in spans]), tuple(groups))

    @property
    def dense(self) -> tuple[int, int]:
        """Rows and tokens of the desk."""
        return self._desk.shape

    def seat(self, chunks: Sequence[Chunk]) -> list[Chunk] | None:
        """Chunks of one token in the order of the desk, or None where it has no room for all of them."""
        return self._desk.seat(chunks)

    def spoken(self, positions: Tensor, table: Tensor, *, seated: bool) -> Layout:
        """Where one token of each row is, from its position `[n]` and the blocks `[n, b]` of its sequence.

        Nothing of it depends on the host, so that a graph can compute it.
        """
        block = table.gather(1, positions[:, None] // BLOCK)[:, 0]
        mask = self._mask(positions[:, None], table.shape[1] * BLOCK)
        group = Group(0, len(table), len(table), mask, None if seated else table)
        return Layout((), block * BLOCK + positions % BLOCK, positions, (group,))

    def write(self, layer: int, layout: Layout, keys: Tensor, values: Tensor) -> None:
        """Keep keys and values `[t, heads, width]` of the step's tokens."""
        for pages, written in ((self._keys, keys), (self._values, values)):
            pages[layer].flatten(0, 1).index_copy_(0, layout.places, written)
        first = layout.groups[0]
        if first.table is None:
            self._desk.write(layer, layout.positions[: first.stop], keys[: first.stop], values[: first.stop])

    def read(self, layer: int, group: Group) -> tuple[Tensor, Tensor]:
        """Keys and values that a group may see: `[n, heads, tokens, width]` each."""
        if group.table is None:
            return self._desk.read(layer, group.count, group.mask.shape[-1])
        return self._gather(self._keys[layer], group.table), self._gather(self._values[layer], group.table)

    def _gather(self, pages: Tensor, table: Tensor) -> Tensor:
        found = pages.index_select(0, table.flatten())
        return found.view(len(table), -1, self.heads, self.width).transpose(1, 2)

    def _group(self, chunks: Sequence[Chunk], start: int, *, gathered: bool) -> Group:
        queries, stop = chunks[0].stop - chunks[0].start, max(chunk.stop for chunk in chunks)
        blocks = -(-stop // BLOCK)
        table = self._tensor([(chunk.row.blocks + [0] * blocks)[:blocks] for chunk in chunks]) if gathered else None
        first = self._tensor([chunk.start for chunk in chunks])
        latest = first[:, None] + torch.arange(queries, device=self._device)
        mask = self._mask(latest, blocks * BLOCK if gathered else stop)
        return Group(start, start + queries * len(chunks), len(chunks), mask, table)

    def _mask(self, latest: Tensor, tokens: int) -> Tensor:
        """The mask of queries that see up to the position `latest` `[n, q]`, over `tokens` places."""
        hidden = (torch.arange(tokens, device=self._device) > latest[..., None]).to(self._keys.dtype)
        return hidden.masked_fill_(hidden.bool(), -torch.inf)[:, None]

    def _tensor(self, values: Any) -> Tensor:
        return sent(values, self._device)


def bytes_per_block(config: Any, dtype: torch.dtype) -> int:
    """What one block takes, over all layers."""
    size: int = config.num_hidden_layers * 2 * BLOCK * config.num_key_value_heads * config.head_dim * dtype.itemsize
    return size
