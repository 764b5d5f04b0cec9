"""Rows of training tokens: conversations that begin with the same pictures share them, at the price of one.

    opening (up to the last picture) · conversation · conversation · …

A conversation sees the opening and itself, and its positions go on where the opening ends: it is computed as if it
stood alone. Data with one conversation to a picture make rows of one conversation.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from services.finetune.data.examples import Source
from services.finetune.llava.script import IGNORED, Script

ROOM = 192  # tokens of conversations in a row, as long as more than one shares it
PADDING = -1


@dataclass(frozen=True, slots=True)
class Row:
    """The tokens of a row; `owners` numbers the conversations from 1, and the opening is 0."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    positions: tuple[int, ...]
    owners: tuple[int, ...]
    pictures: tuple[Source, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors `[rows, tokens]`; `mask` `[rows, 1, tokens, tokens]` is true where a token (row) sees another."""

    ids: Tensor
    labels: Tensor
    positions: Tensor
    mask: Tensor


def rows(scripts: Sequence[Script]) -> list[Row]:
    """All conversations in as few rows as they go into, in the order in which their pictures come first."""
    alike: dict[tuple[tuple[Source, ...], tuple[int, ...]], list[Script]] = defaultdict(list)
    for script in scripts:
        alike[script.pictures, script.ids[: script.opening]].append(script)
    return [_row(each) for group in alike.values() for each in _shares(group)]


def collate(rows: Sequence[Row]) -> Batch:
    """Rows padded to the longest."""
    length = max(len(row.ids) for row in rows)
    ids, labels, positions, owners = (
        torch.tensor([[*values, *[filler] * (length - len(values))] for values in columns])
        for columns, filler in (
            ([row.ids for row in rows], 0),
            ([row.labels for row in rows], IGNORED),
            ([row.positions for row in rows], 0),
            ([row.owners for row in rows], PADDING),
        )
    )
    own = owners[:, :, None] == owners[:, None, :]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    return Batch(ids, labels, positions, ((own | (owners == 0)[:, None, :]) & causal)[:, None])


def _shares(group: Sequence[Script]) -> list[list[Script]]:
    """The conversations of a group, in lots that have room in a row."""
    lots: list[list[Script]] = []
    left = 0
    for script in group:
        length = len(script.ids) - script.opening
        if not lots or length > left:
            lots.append([])
            left = ROOM
        lots[-1].append(script)
        left -= length
    return lots


def _row(scripts: Sequence[Script]) -> Row:
    first, opening = scripts[0], scripts[0].opening
    ids, labels = [*first.ids[:opening]], [*first.labels[:opening]]
    positions, owners = list(range(opening)), [0] * opening
    for number, script in enumerate(scripts, 1):
        ids += script.ids[opening:]
        labels += script.labels[opening:]
        positions += range(opening, len(script.ids))
        owners += [number] * (len(script.ids) - opening)
    return Row(tuple(ids), tuple(labels), tuple(positions), tuple(owners), first.pictures)
