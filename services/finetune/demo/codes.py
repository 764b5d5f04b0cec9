"""Word codes: one fixed direction for each colour and shape, which both towers learn to speak.

A query's code is the sum of its words' codes, so a pair has its place even if nobody ever showed or named it.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from services.finetune.demo.pictures import Truth
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import PAIRS, TEXT_COLOURS, TEXT_SHAPES, Query

WORDS = (*COLOURS, *SHAPES, *TEXT_COLOURS, *TEXT_SHAPES)
SEED = 5


class Codes:
    """Orthonormal directions, the same for every training."""

    def __init__(self, width: int) -> None:
        random = torch.randn(width, width, generator=torch.Generator().manual_seed(SEED))
        directions = torch.linalg.qr(random).Q
        self._directions = dict(zip(WORDS, directions, strict=False))
        self._pairs = self.of(PAIRS)

    def of(self, queries: Sequence[Query]) -> Tensor:
        """The unit codes of `queries`: `[queries, width]`."""
        sums = [torch.stack([self._directions[word] for word in query.words]).sum(0) for query in queries]
        return F.normalize(torch.stack(sums), dim=-1)

    def of_things(self, truth: Truth) -> Tensor:
        """The unit code of each thing: `[things, width]`."""
        return self._pairs[truth.pairs]

    def of_pictures(self, truth: Truth) -> Tensor:
        """The unit code of all things in each picture: `[pictures, width]`."""
        sums = torch.zeros(len(truth.owners), self._pairs.shape[1])
        return F.normalize(sums.index_add(0, truth.pictures, self.of_things(truth)), dim=-1)


def distance(embeddings: Tensor, codes: Tensor) -> Tensor:
    """Mean of one minus the cosine, over rows."""
    return (1 - F.cosine_similarity(embeddings, codes, dim=-1)).mean()
