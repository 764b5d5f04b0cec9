"""Tokens that a base has and never learnt get a start among the words that are used as they are.

bytes that no text has -> what an unlearnt row looks like -> tokens of the data with such a row
    -> the rows of learnt tokens between the same neighbours, averaged

Where embeddings and output are one table, every step pushes the rows of absent tokens the same way, so that they all
look alike (compare https://arxiv.org/abs/2405.05417). From there a word is learnt late; from its like's place, soon.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from services.finetune.llava.script import Script
from services.llava.words import Words

NEVER = frozenset(bytes([byte]) for byte in (0xC0, 0xC1, *range(0xF5, 0x100)))  # no UTF-8 has them
ALIKE = 0.4  # least cosine between rows that were never learnt
NOISE = 0.3  # of a new row, as a share of the spread of its likes

Neighbours = tuple[int, int]


@torch.no_grad()
def start_rows(network: Any, words: Words, scripts: Sequence[Script]) -> list[int]:
    """Give each unlearnt token of the scripts a row to start from; returns these tokens, none for an untied table."""
    if not network.config.tie_word_embeddings:
        return []
    table = network.get_input_embeddings().weight
    unlearnt = _unlearnt(table, words)
    used = _used(scripts)
    found = ({token for uses in used.values() for token in uses} & unlearnt) - words.control
    likes = {token: _likes(token, used, unlearnt) for token in sorted(found)}
    for token, shares in likes.items():
        if shares:
            table[token] = _between(table, shares)
    return sorted(found)


def _unlearnt(table: Tensor, words: Words) -> frozenset[int]:
    never = [token for token in range(words.size) if words.raw(token) in NEVER]
    if not never:
        return frozenset()
    middle = table[never].mean(0)
    like = F.cosine_similarity(table, middle[None]) > ALIKE
    return frozenset(like.nonzero().flatten().tolist()) if like[never].all() else frozenset()


def _used(scripts: Sequence[Script]) -> Mapping[Neighbours, Counter[int]]:
    """Which tokens stand between which, and how often."""
    used: dict[Neighbours, Counter[int]] = defaultdict(Counter)
    for script in scripts:
        for before, token, after in zip(script.ids, script.ids[1:], script.ids[2:], strict=False):
            used[before, after][token] += 1
    return used


def _likes(token: int, used: Mapping[Neighbours, Counter[int]], unlearnt: frozenset[int]) -> Counter[int]:
    """The learnt tokens that stand where `token` does, by how often both do."""
    likes: Counter[int] = Counter()
    for uses in used.values():
        if token in uses:
            likes.update({other: n * uses[token] for other, n in uses.items() if other not in unlearnt})
    return likes


def _between(table: Tensor, shares: Counter[int]) -> Tensor:
    rows, counts = table[list(shares)], torch.tensor(list(shares.values()), dtype=table.dtype)
    middle = (counts[:, None] * rows).sum(0) / counts.sum()
    return middle + NOISE * (rows - middle).square().mean().sqrt() * torch.randn_like(middle)
