"""Steps in which everybody only speaks, in shapes that come again, so that a GPU replays them as graphs.

chunks -> rows and blocks up to the next size -> one copy to the device -> the graph of that size -> logits
       -> a size that is new: once as it is, then captured -> its graph

A step of a large network is thousands of small kernels, each of which the host launches in about the time that the
GPU needs for it; a graph launches all at once. Rows that only fill up read and write the memory's scratch block.
Everybody attends to a row of the desk by torch's own kernels, and to gathered blocks where the desk has no room. The
kernel that reads blocks in place (`varlen_attn`) wants half precision and pages of a multiple of 256 tokens, while
prompts share what they have in common in blocks of 16.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from services.llava.blocks import BLOCK
from services.llava.memory import Memory
from services.llava.network import Network
from services.llava.scheduler import Chunk
from shared import logs
from shared.accel.transfer import sent

log = logs.get(__name__)

SHORTEST = 8  # blocks
MOST = 64  # graphs of one set of weights

Size = tuple[int, int, tuple[int, int] | None]  # rows, blocks, and the shape of the desk, if they are there


class Graphs:
    """The network over single tokens of many sequences, and a graph for each size that came."""

    def __init__(self, network: Network, memory: Memory, *, capture: bool) -> None:
        """Without `capture` the same steps are computed kernel by kernel."""
        self._network, self._memory = network, memory
        self._device = network.embeddings.device
        self._left = MOST if capture else 0
        self._graphs: dict[Size, Graph] = {}
        self._pool: Any = torch.cuda.graph_pool_handle()

    @torch.inference_mode()
    def forward(self, chunks: Sequence[Chunk], tokens: Tensor, *, seated: bool) -> Tensor:
        """One token `[n]` of each chunk -> logits `[n, vocabulary]`, float32, which the next step writes over.

        Those who are `seated` come in the order of the desk.
        """
        rows, blocks = rows_for(len(chunks)), blocks_for(max(chunk.stop for chunk in chunks))
        numbers = [[0, chunk.start, *self._padded(chunk.row.blocks, blocks)] for chunk in chunks]
        nobody = [0, 0, *self._padded([], blocks)]
        inputs = sent(numbers + [nobody] * (rows - len(chunks)), self._device)
        inputs[: len(chunks), 0] = tokens
        size = (rows, blocks, self._memory.dense if seated else None)
        graph = self._graphs.get(size) or self._captured(size, inputs)
        logits = graph.replay(inputs) if graph else self._step(inputs, seated=seated)
        return logits[: len(chunks)]

    def _padded(self, blocks: list[int], count: int) -> list[int]:
        return (blocks + [self._memory.scratch] * count)[:count]

    def _step(self, inputs: Tensor, *, seated: bool) -> Tensor:
        """`inputs` `[rows, 2 + blocks]`: a token, its position, and the blocks of its sequence."""
        layout = self._memory.spoken(inputs[:, 1], inputs[:, 2:], seated=seated)
        hidden = F.embedding(inputs[:, 0], self._network.embeddings)
        return self._network.forward(hidden, layout, self._memory, torch.arange(len(inputs), device=self._device))

    def _captured(self, size: Size, inputs: Tensor) -> "Graph | None":
        """The graph of a new size; None where there are enough of them, or where the device makes none."""
        if not self._left:
            return None
        self._left -= 1
        try:
            graph = Graph(inputs)
            graph.capture(partial(self._step, seated=size[2] is not None), self._pool)
        except (RuntimeError, ValueError):  # the latter where the device is none of CUDA's
            self._left = 0
            log.warning("graph_failed", size=size, exc_info=True)
            return None
        self._graphs[size] = graph
        return graph


class Graph:
    """The step of one size, with inputs and logits that stay in their places."""

    def __init__(self, inputs: Tensor) -> None:
        self._inputs = inputs.clone()
        self._graph = torch.cuda.CUDAGraph()
        self._logits = inputs.new_empty(0)

    def capture(self, step: Callable[[Tensor], Tensor], pool: Any) -> None:
        """Compute `step` once, for what its kernels set up the first time, and then capture it, both aside.

        What it writes is written again by the replay, the same. Graphs of one `pool` of memory share what they work on,
        since one is replayed at a time and its logits are read before the next. Raises `RuntimeError`.
        """
        device = self._inputs.device
        before, aside = torch.cuda.current_stream(device), torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        aside.wait_stream(before)
        with torch.cuda.device(device), torch.cuda.stream(before):  # to which a capture that fails would not return
            with torch.cuda.stream(aside):
                step(self._inputs)
            before.wait_stream(aside)
            # Not "global": other threads may bring pictures and weights to the device meanwhile.
            with torch.cuda.graph(self._graph, pool, capture_error_mode="thread_local"):
                self._logits = step(self._inputs)

    def replay(self, inputs: Tensor) -> Tensor:
        """The logits of `inputs`, until the next replay."""
        self._inputs.copy_(inputs)
        self._graph.replay()
        return self._logits


def rows_for(count: int) -> int:
    """The size of a step of `count` rows: 1, 2, 4, 8, 16 ..."""
    return 1 << (count - 1).bit_length()


def blocks_for(tokens: int) -> int:
    """How many blocks rows of up to `tokens` are read in: 8, 12, 16, 24, 32, 48 ..."""
    size = SHORTEST
    while size * BLOCK < tokens:
        size = size * 4 // 3 if size % 3 == 0 else size * 3 // 2
    return size
