"""The query vectors of one set of weights: each phrase goes through the text tower once, then comes from the cache.

phrases of a batch -> those not in the cache -> one run of the text tower -> cache -> a matrix per picture
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from services.owlvit.network import Network
from services.owlvit.phrases import Ids
from shared.serving.cache import Cache

KEPT = 10_000  # vectors: 20 MB for the largest public checkpoints
CHUNK = 256  # phrases that the text tower reads at a time


class LabelEmbeddings:
    """The vectors of phrases, by their token ids; belongs to one network, and goes with it."""

    def __init__(self, network: Network, model: str) -> None:
        """`model` is the name under which hits and misses are counted."""
        self._network = network
        self._cache: Cache[Ids, Tensor] = Cache(KEPT, model=model, name="labels")

    def of(self, lists: Sequence[Sequence[Ids]]) -> list[Tensor]:
        """For each list of phrases, their vectors [q, d] in its order. On the device thread."""
        wanted = dict.fromkeys(ids for phrases in lists for ids in phrases)
        cached = ((ids, self._cache.get(ids)) for ids in wanted)
        vectors = {ids: vector for ids, vector in cached if vector is not None}
        new = [ids for ids in wanted if ids not in vectors]
        for begin in range(0, len(new), CHUNK):
            vectors |= self._embed(new[begin : begin + CHUNK])
        return [torch.stack([vectors[ids] for ids in phrases]) for phrases in lists]

    def _embed(self, phrases: Sequence[Ids]) -> dict[Ids, Tensor]:
        vectors = {}
        for ids, vector in zip(phrases, self._network.embed_text(phrases), strict=True):
            vectors[ids] = vector.clone()  # a row alone would keep its whole batch in memory
            self._cache.put(ids, vectors[ids])
        return vectors
