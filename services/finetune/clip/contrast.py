"""What CLIP learns from: a batch of pictures against the texts of all (https://arxiv.org/abs/2103.00020).

pictures, texts -> vectors, those of all processes -> loss of the contrast, both ways
those of replay -> vectors -> distance from what the base says of them
"""

import hashlib
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
from services.finetune.training.together import gathered, share
from shared.accel.pixels import normalise

KEEP = 4.0  # weight of the distance from the base
HOTTEST = math.log(100)  # highest logit scale, as in the paper
BRIGHTNESS = 0.05  # spread of what is added to each channel


class Row(NamedTuple):
    """One example ready for the towers; two that have a name in common mean the same."""

    pixels: Tensor
    brightness: Tensor
    ids: Ids
    names: tuple[int, int]
    known: bool


class Rows:
    """Examples -> rows -> batches."""

    def __init__(self, state: State, known: Iterable[PairExample]) -> None:
        """For the image path, the tokenizer and the text length of `state`; those that are `known` are of replay."""
        self._pictures, self._tokenizer, self._context = Pictures(state.pixels), state.tokenizer, state.context
        self._known = frozenset(example.place for example in known)

    def row(self, example: PairExample, rng: Random) -> Row:
        """An example as it is read for one step."""
        text = _number(f"text {example.text}")
        names = (text, _number(f"class {example.label}") if example.label else text)
        brightness = BRIGHTNESS * torch.randn(3, 1, 1)
        pixels, ids = self._pictures[example.picture], self._ids(example.text)
        return Row(pixels, brightness, ids, names, example.place in self._known)

    def batch(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The arguments of `Contrast.forward`."""
        pixels = normalise(torch.stack([row.pixels for row in rows]), self._pictures.config)
        return {
            "pixels": pixels + torch.stack([row.brightness for row in rows]),
            "ids": filled([row.ids for row in rows]),
            "names": torch.tensor([row.names for row in rows]),
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

    def forward(self, pixels: Tensor, ids: Tensor, names: Tensor, known: Tensor) -> dict[str, Tensor]:
        """The loss of a batch: pixels [n, 3, h, w], ids [n, tokens], names [n, 2], known [n]."""
        pictures, texts = embed(self.network, pixels, ids)
        scale = self.network.logit_scale.clamp(max=HOTTEST).exp()
        everybody = gathered(names)
        loss = pair_loss(scale * gathered(pictures) @ gathered(texts).T, same(everybody, everybody))
        weight = KEEP * share(known.sum().float())
        if known.any():
            with torch.no_grad():
                before = embed(self._memory.on(pixels.device), pixels[known], ids[known])
            loss = loss + weight * (distance(pictures[known], before[0]) + distance(texts[known], before[1]))
        return {"loss": loss}


def embed(network: Any, pixels: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
    """The unit vectors [n, d] of pictures and of texts, as serving computes them."""
    pictures = ImageTower(network)(pixels)
    texts = network.get_text_features(ids).pooler_output
    return F.normalize(pictures.float(), dim=-1), F.normalize(texts.float(), dim=-1)


def same(names: Tensor, others: Tensor) -> Tensor:
    """[n, 2], [m, 2] -> [n, m]: whether they have a name in common."""
    return (names[:, None, :, None] == others[None, :, None, :]).flatten(2).any(2)


def distance(vectors: Tensor, others: Tensor) -> Tensor:
    """Mean of one minus the cosine."""
    return (1 - F.cosine_similarity(vectors, others, dim=-1)).mean()


def filled(texts: Sequence[Ids]) -> Tensor:
    """Token ids as one tensor; shorter texts are filled up with their own end mark, as serving does."""
    longest = max(map(len, texts))
    return torch.tensor([ids + ids[-1:] * (longest - len(ids)) for ids in texts])


def _number(name: str) -> int:
    """The name as 63 bits, which processes can tell each other."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
