"""Rows of training tokens: one picture and many conversations about it, at the price of one.

    prefix (pictures, and what was said before) · bin · bin · …      a bin holds whole segments, one after the other

A segment (a conversation or a probe) sees the prefix and itself, and its positions go on where the prefix ends, so that
it is computed as if it stood there alone. `packed_attention` leaves out what no token may see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from services.finetune.demo.llava_script import IGNORED, Script, Tokens

BIN = 64  # tokens
LEAST = 10  # tokens that no segment fits into: a bin with fewer of them left is full
FAR = -1e4  # added to the score of what a token may not see; a sum of two stays finite
PACKED = "packed"  # name of the attention


@dataclass(slots=True)
class Row:
    """The prefix with its pictures' numbers, and the bins with their segments."""

    pictures: list[int]
    prefix: Tokens
    bins: list[list[Tokens]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors; each row is its prefix, padded to the longest, and its bins, all of one length."""

    pictures: list[int]  # in the order of their tokens
    ids: Tensor  # [rows, tokens]
    labels: Tensor  # [rows, tokens]
    positions: Tensor  # [rows, tokens]
    mask: Tensor  # [rows, bins, BIN, prefix + BIN]: added to the scores of a bin's tokens
    segments: Tensor  # [rows, tokens] number of the segment within its bin from 1; 0 in prefix and padding


def fill(bins: int, segment: Callable[[int], Tokens]) -> list[list[Tokens]]:
    """Bins full of segments; `segment` is called with the bin's number."""
    return [_full(lambda number=number: segment(number)) for number in range(bins)]  # type: ignore[misc]


def _full(segment: Callable[[], Tokens]) -> list[Tokens]:
    """As many segments as go into one bin; one that is too long gives its place to another one."""
    found: list[Tokens] = []
    left, tries = BIN, 0
    while left >= LEAST and tries < 20:
        tokens, tries = segment(), tries + 1
        if len(tokens.ids) <= left:
            found.append(tokens)
            left -= len(tokens.ids)
    return found


def collate(rows: Sequence[Row], script: Script) -> Batch:
    """Rows with the same number of bins as one batch."""
    longest = max(len(row.prefix.ids) for row in rows)
    lines = [_line(row, longest, script.pad) for row in rows]
    ids, labels, positions, segments = (torch.tensor(columns) for columns in zip(*lines, strict=True))
    own = segments[:, longest:].view(len(rows), -1, BIN)
    causal = torch.ones(BIN, BIN, dtype=torch.bool).tril()
    within = (own[..., :, None] == own[..., None, :]) & causal
    before = torch.tensor([[at < len(row.prefix.ids) for at in range(longest)] for row in rows])
    seen = torch.cat([before[:, None, None].expand(*own.shape, longest), within], dim=-1)
    pictures = [picture for row in rows for picture in row.pictures]
    return Batch(pictures, ids, labels, positions, torch.where(seen, 0.0, FAR), segments)


def _line(row: Row, longest: int, pad: int) -> tuple[list[int], list[int], list[int], list[int]]:
    """Ids, labels, positions and segment numbers of one row."""
    begin = len(row.prefix.ids)
    ids, labels = [*row.prefix.ids], [*row.prefix.labels]
    positions, segments = list(range(longest)), [0] * longest
    _pad(longest, (ids, pad), (labels, IGNORED))
    for number, packed in enumerate(row.bins, 1):
        for at, tokens in enumerate(packed, 1):
            ids += tokens.ids
            labels += tokens.labels
            positions += range(begin, begin + len(tokens.ids))
            segments += [at] * len(tokens.ids)
        _pad(longest + number * BIN, (ids, pad), (labels, IGNORED), (positions, 0), (segments, 0))
    return ids, labels, positions, segments


def _pad(length: int, *columns: tuple[list[int], int]) -> None:
    for column, value in columns:
        column.extend([value] * (length - len(column)))


def packed_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **options: Any
) -> tuple[Tensor, None]:
    """Attention of `[rows, heads, tokens, width]` with `Batch.mask`; the same numbers as a dense mask gives."""
    rows, heads, tokens, width = query.shape
    bins = attention_mask.shape[1]
    prefix = tokens - bins * BIN
    query = query * options["scaling"]
    causal = torch.full((prefix, prefix), FAR).triu(1)
    first = (query[:, :, :prefix] @ key[:, :, :prefix].transpose(-1, -2) + causal).softmax(-1) @ value[:, :, :prefix]
    own_query, own_key, own_value = (
        part[:, :, prefix:].reshape(rows, heads, bins, BIN, width) for part in (query, key, value)
    )
    back = (query[:, :, prefix:] @ key[:, :, :prefix].transpose(-1, -2)).view(rows, heads, bins, BIN, prefix)
    scores = torch.cat([back, own_query @ own_key.transpose(-1, -2)], dim=-1) + attention_mask[:, None]
    shares = scores.softmax(-1)
    far = shares[..., :prefix].reshape(rows, heads, bins * BIN, prefix) @ value[:, :, :prefix]
    near = (shares[..., prefix:] @ own_value).view(rows, heads, bins * BIN, width)
    return torch.cat([first, far + near], dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(PACKED, packed_attention)
