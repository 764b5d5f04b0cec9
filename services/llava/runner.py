"""One step on the device: a plan -> pictures -> tokens of all chunks through the network -> the next tokens.

plan -> pictures that nobody has seen yet -> tower
     -> embedded tokens, pictures in their places -> network, once -> logits where a prompt or an answer ends
     -> sampling -> one token for each chunk
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from services.llava.memory import Memory
from services.llava.network import Network
from services.llava.sampling import Choice, choose
from services.llava.scheduler import Chunk
from services.llava.tower import Tower

UNSAID = Choice(-1)


@dataclass(frozen=True, slots=True)
class Runner:
    """The network, its memory and the tower of one set of weights."""

    network: Network
    memory: Memory
    tower: Tower

    @torch.inference_mode()
    def run(self, chunks: Sequence[Chunk]) -> list[Choice]:
        """Compute the chunks of a plan; those that end where nothing is said yet give `UNSAID`."""
        layout = self.memory.layout(chunks)
        device = layout.positions.device
        ends = torch.tensor([chunk.stop - chunk.start for chunk in layout.chunks]).cumsum(0) - 1
        saying = [index for index, chunk in enumerate(layout.chunks) if chunk.samples]
        rows = [layout.chunks[index].row for index in saying]
        embedded = self._embedded(layout.chunks, device)
        logits = self.network.forward(embedded, layout, self.memory, ends[saying].to(device))
        said = dict(zip(rows, choose(logits, rows), strict=True))
        return [said.get(chunk.row, UNSAID) for chunk in chunks]

    def _embedded(self, chunks: Sequence[Chunk], device: torch.device) -> Tensor:
        """The embedding of every token `[t, d]`; those of a picture's places are its features."""
        tokens = [token for chunk in chunks for token in chunk.row.tokens[chunk.start : chunk.stop]]
        embedded = F.embedding(torch.tensor(tokens, device=device), self.network.embeddings)
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
