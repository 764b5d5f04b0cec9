"""One step on the device: a plan -> pictures -> tokens of all chunks through the network -> the next tokens.

plan -> somebody reads: pictures that nobody has seen yet -> tower
            -> embedded tokens, pictures in their places -> network, once -> logits where a prompt or an answer ends
     -> everybody only speaks: the same in shapes that come again, where there are such (`graphs.py`)
     -> sampling -> one token for each chunk, on its way to the host

A token that the host does not know yet is taken from what the step before has drawn, on the device.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
import torch.nn.functional as F
from torch import Tensor

from services.llava.graphs import Graphs
from services.llava.memory import Memory
from services.llava.network import Network
from services.llava.sampling import Choice, Drawn, draw
from services.llava.scheduler import Chunk
from services.llava.sequence import UNKNOWN
from services.llava.sequence import Sequence as Row
from services.llava.tower import Tower
from shared.accel.transfer import sent

UNSAID = Choice(-1)


@dataclass(frozen=True, slots=True)
class Launched:
    """A step that the device computes: the rows of its `chunks` that say something, in the order of what is `drawn`."""

    chunks: Sequence[Chunk]
    places: dict[Row, int]
    drawn: Drawn

    def choices(self) -> list[Choice]:
        """What each chunk says, once it is known; those that end where nothing is said yet give `UNSAID`."""
        said = self.drawn.choices()
        return [said[self.places[chunk.row]] if chunk.row in self.places else UNSAID for chunk in self.chunks]


@dataclass(frozen=True, slots=True)
class Runner:
    """The network, its memory and the tower of one set of weights, and its steps in shapes that come again, if any."""

    network: Network
    memory: Memory
    tower: Tower
    graphs: Graphs | None = None

    @torch.inference_mode()
    def launch(self, chunks: Sequence[Chunk], before: Launched | None = None) -> Launched:
        """Compute the chunks of a plan, and wait for no device; `before` has drawn the tokens that are unknown."""
        if self.graphs and all(map(_speaks, chunks)):
            seats = self.memory.seat(chunks)
            ordered = seats or chunks
            rows = [chunk.row for chunk in ordered]
            logits = self.graphs.forward(ordered, self._tokens(ordered, before), seated=seats is not None)
        else:
            rows, logits = self._read(chunks, before)
        return Launched(chunks, {row: place for place, row in enumerate(rows)}, draw(logits, rows))

    def _read(self, chunks: Sequence[Chunk], before: Launched | None) -> tuple[list[Row], Tensor]:
        """The rows that say something, and their logits."""
        layout = self.memory.layout(chunks)
        stops = accumulate(chunk.stop - chunk.start for chunk in layout.chunks)
        ends = [stop - 1 for chunk, stop in zip(layout.chunks, stops, strict=True) if chunk.samples]
        embedded = self._embedded(layout.chunks, before)
        logits = self.network.forward(embedded, layout, self.memory, sent(ends, embedded.device).long())
        return [chunk.row for chunk in layout.chunks if chunk.samples], logits

    def _tokens(self, chunks: Sequence[Chunk], before: Launched | None) -> Tensor:
        """All tokens of the chunks, `[t]`."""
        tokens, device = list[int](), self.network.embeddings.device
        for chunk in chunks:
            tokens += chunk.row.tokens[chunk.start : chunk.stop]
            if tokens[-1] == UNKNOWN and before is not None:
                tokens[-1] = -1 - before.places[chunk.row]
        told = sent(tokens, device)
        if before is None or min(tokens) >= 0:
            return told
        drawn = before.drawn.tokens.index_select(0, (-1 - told).clamp_min_(0))
        return torch.where(told < 0, drawn, told)

    def _embedded(self, chunks: Sequence[Chunk], before: Launched | None) -> Tensor:
        """The embedding of every token `[t, d]`; those of a picture's places are its features."""
        embedded = F.embedding(self._tokens(chunks, before), self.network.embeddings)
        shown = {
            span.digest: chunk.row.prompt.pixels[span.digest]
            for chunk in chunks
            for span in chunk.row.prompt.within(chunk.start, chunk.stop)
        }
        features = self.tower.see(shown) if shown else {}
        offset = 0
        for chunk in chunks:
            for span in chunk.row.prompt.within(chunk.start, chunk.stop):
                begin, end = max(span.start, chunk.start), min(span.stop, chunk.stop)
                part = features[span.digest][begin - span.start : end - span.start]
                embedded[offset + begin - chunk.start : offset + end - chunk.start] = part
            offset += chunk.stop - chunk.start
        return embedded


def _speaks(chunk: Chunk) -> bool:
    """Whether a chunk is one token, no part of a picture, after which something is said."""
    return chunk.samples and chunk.stop - chunk.start == 1 and not any(chunk.row.prompt.within(chunk.start, chunk.stop))
