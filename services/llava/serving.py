"""The weights in use on a device, and everybody who speaks on them."""

from dataclasses import dataclass

import torch

from services.llava.blocks import BLOCK, Blocks
from services.llava.desk import SHORTEST
from services.llava.graphs import Graphs, rows_for
from services.llava.memory import Memory, bytes_per_block
from services.llava.meters import Meters
from services.llava.network import Network
from services.llava.runner import Runner
from services.llava.scheduler import Scheduler
from services.llava.sequence import Sequence
from services.llava.speaker import Judge, Speaker
from services.llava.tower import Tower
from services.llava.weights import State
from shared.accel.placed import placed
from shared.serving.model import DeviceLost, RefusedWeights


@dataclass(frozen=True, slots=True)
class Room:
    """How much an engine may take.

    rows      sequences that speak at once
    budget    tokens of prompts that one step reads; None for 128 on a CPU, where those who speak feel them, else 2048
    memory    bytes for keys and values; None for 512 MiB on a CPU, and for most of what is free on a GPU
    pictures  bytes for the features of pictures
    context   most tokens of a prompt and its answer; None for the network's own
    answer    most tokens of an answer
    """

    rows: int = 16
    budget: int | None = None
    memory: int | None = None
    pictures: int = 2**28
    context: int | None = None
    answer: int = 1024

    def context_of(self, state: State) -> int:
        """Most tokens of a prompt and its answer with these weights."""
        return min(self.context or state.context, state.context)

    def budget_on(self, device: torch.device) -> int:
        """Tokens of prompts that one step reads on a device."""
        return self.budget or (128 if device.type == "cpu" else 2048)

    def bytes_on(self, device: torch.device, *, weights: int) -> int:
        """Bytes for keys and values on a device that has `weights` bytes of weights already.

        On a GPU four fifths of what is free when a second set of weights has come, or of all where none would fit.
        """
        if self.memory is not None:
            return self.memory
        if device.type != "cuda":
            return 2**29
        free: int = torch.cuda.mem_get_info(device)[0]
        spare = free - 1.1 * weights
        return int(0.8 * (spare if spare > free / 4 else free))


class Serving:
    """One set of weights with its network, its memory and its sequences; another set gets another one."""

    def __init__(self, state: State, room: Room, device: torch.device, *, judge: Judge) -> None:
        """Move `state` to the device. Raises `RefusedWeights` where one conversation would not fit into memory."""
        self.state, self._device, self._judge = state, device, judge
        self._room = room
        module = placed(state.module, device)
        self.network = Network(module, context=room.context_of(state))
        self.tower = Tower(module, state.pixels, device=device, keep=room.pictures, name=state.name)
        weights = sum(each.nbytes for each in module.parameters())
        allowed = room.bytes_on(device, weights=weights)
        self._desk = self._dense(allowed)
        self.speaker = self._speaker(self._blocks(allowed - self._desk), rows=room.rows, ahead=device.type == "cuda")
        self.meters = Meters(state.name, self.speaker.scheduler)
        self.indices: dict[Sequence, int] = {}  # which answer of its request a sequence is

    @property
    def busy(self) -> bool:
        """Whether anybody speaks or waits."""
        return self.speaker.scheduler.busy

    def apart(self, *, rows: int, tokens: int) -> Speaker:
        """A speaker with memory of its own for `rows` sequences of at most `tokens`: nobody else is in it."""
        return self._speaker((rows + 1) * -(-tokens // BLOCK), rows=rows)

    def _speaker(self, blocks: int, *, rows: int, ahead: bool = False) -> Speaker:
        """`ahead` is for a device that computes while the host does something else."""
        network = self.network
        desk = self._desk if ahead or self._device.type == "cpu" else 0
        memory = Memory(network.config, blocks=blocks, like=network.embeddings, desk=desk, fixed=ahead)
        scheduler = Scheduler(
            Blocks(blocks), rows=rows, budget=self._room.budget_on(self._device), seen=self.tower.knows
        )
        runner = Runner(network, memory, self.tower, Graphs(network, memory, capture=True) if ahead else None)
        return Speaker(scheduler, runner, judge=self._judge, fatal=DeviceLost, ahead=ahead)

    def _dense(self, room: int) -> int:
        """How many of `room` bytes keep dense what speakers read: on a GPU at once, so no more than they could fill."""
        if self._device.type == "cpu":
            return room // 4
        context = 2 * max(self._room.context_of(self.state), SHORTEST)  # rows double until it fits
        size = bytes_per_block(self.network.config, self.network.embeddings.dtype) // BLOCK
        return min(room // 2, rows_for(self._room.rows) * context * size)

    def _blocks(self, room: int) -> int:
        """How many blocks there are in `room` bytes: never more than everybody could fill."""
        context = self._room.context_of(self.state)
        size, longest = bytes_per_block(self.network.config, self.network.embeddings.dtype), -(-context // BLOCK)
        blocks = min(room // size, (self._room.rows + 1) * longest)
        if blocks < longest:
            raise RefusedWeights(
                f"The memory for keys and values holds {blocks * BLOCK} tokens, and one conversation may have "
                f"{context}. Raise kv_memory_mb or lower context."
            )
        return blocks
