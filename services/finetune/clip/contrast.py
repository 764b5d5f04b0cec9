"""What CLIP learns from: a batch of pictures against the texts of all (https://arxiv.org/abs/2103.00020).

pictures, texts -> vectors -> loss of the contrast, both ways
those of replay -> vectors -> distance from what the base says of them
"""

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.clip.towers import Ids, ImageTower
from services.clip.weights import State
from services.finetune.data.examples import PairExample
from services.finetune.demo.clip_training import pair_loss
from services.finetune.towers.memory import Memory
from services.finetune.towers.pictures import Pictures
from shared.accel.pixels import normalise

KEEP = 4.0  # weight of the distance from the base
HOTTEST = math.log(100)  # highest logit scale, as in the paper
BRIGHTNESS = 0.05  # spread of what is added to each channel


class Row(NamedTuple):
    """One example ready for the towers; `names` are what makes two of a batch mean the same."""

    pixels: Tensor
    ids: Ids
    names: frozenset[str]
    known: bool


class Rows:
    """Examples -> rows -> batches."""

    def __init__(self, state: State, known: Iterable[PairExample]) -> None:
        """For the image path, the tokenizer and the text length of `state`; those that are `known` are of replay."""
        self._pictures, self._tokenizer, self._context = Pictures(state.pixels), state.tokenizer, state.context
        self._known = frozenset(example.place for example in known)

    def row(self, example: PairExample, rng: Random) -> Row:
        """An example as it is read for one step."""
        names = frozenset(filter(None, (f"text {example.text}", example.label and f"class {example.label}")))
        pixels = self._pictures[example.picture]
        return Row(pixels, self._ids(example.text), names, example.place in self._known)

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The arguments of `Contrast.forward`."""
        pixels = normalise(torch.stack([row.pixels for row in rows]), self._pictures.config)
        return {
            "pixels": pixels + BRIGHTNESS * torch.randn(len(rows), 3, 1, 1),
            "ids": filled([row.ids for row in rows]),
            "same": torch.tensor([[not row.names.isdisjoint(other.names) for other in rows] for row in rows]),
            "known": torch.tensor([row.known for row in rows]),
        }

    def _ids(self, text: str) -> Ids:
        ids = self._tokenizer.ids(text)
        return ids if len(ids) <= self._context else ids[: self._context - 1] + ids[-1:]


class Contrast(nn.Module):
    """A CLIP that is taught."""

    def __init__(self, network: Any, memory: Memory) -> None:
        super().__init__()
        self.network, self._memory = network, memory

    def forward(self, pixels: Tensor, ids: Tensor, same: Tensor, known: Tensor) -> dict[str, Tensor]:
        """The loss of a batch: pixels [n, 3, h, w], ids [n, tokens], same [n, n], known [n]."""
        pictures, texts = embed(self.network, pixels, ids)
        scale = self.network.logit_scale.clamp(max=HOTTEST).exp()
        loss = pair_loss(scale * pictures @ texts.T, same)
        if known.any():
            with torch.no_grad():
                before = embed(self._memory.on(pixels.device), pixels[known], ids[known])
            loss = loss + KEEP * (distance(pictures[known], before[0]) + distance(texts[known], before[1]))
        return {"loss": loss}


def embed(network: Any, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The unit vectors [n, d] of pictures and of texts, as serving computes them."""
    pictures = ImageTower(network)(pixels)
    texts = network.get_text_features(ids).pooler_output
    return F.normalize(pictures.float(), dim=-1), F.normalize(texts.float(), dim=-1)


def distance(vectors: Tensor, others: Tensor) -> Tensor:
    """Mean of one minus the cosine."""
    return (1 - F.cosine_similarity(vectors, others, dim=-1)).mean()


def filled(texts: Sequence[Ids]) -> Tensor:
    """Token ids as one tensor; shorter texts are filled up with their own end mark, as serving does."""
    longest = max(map(len, texts))
    return torch.tensor([ids + ids[-1:] * (longest - len(ids)) for ids in texts])
