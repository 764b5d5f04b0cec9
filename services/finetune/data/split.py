"""A seeded split by what pictures show, and what stands on both sides of one.

rows that share a picture's bytes -> one group -> groups in order of class and of a seeded hash -> every n-th is kept

So duplicates never stand on both sides, classes keep their shares, and neither names nor order of files matter.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.finetune.data.content import content
from services.finetune.data.examples import Example, Place, pictures
from services.finetune.data.looking import seen
from services.finetune.data.statistics import classes

ALIKE = 5.0  # levels of 255 between two pictures of 8 x 8 pixels (root mean square); see `leakage`
CHUNK = 256

Rows = tuple[Example, ...]


def split(examples: Sequence[Example], *, share: float, seed: int) -> tuple[Rows, Rows]:
    """Rows to learn from, and a `share` of 0-1 to judge by; neither is empty where there are two groups."""
    groups = _groups(examples)
    count = min(max(round(len(groups) * share), 1), len(groups) - 1) if share > 0 and len(groups) > 1 else 0
    kept: set[int] = set()
    for index, group in enumerate(_ordered(groups, examples, seed)):
        if (index + 1) * count // len(groups) > index * count // len(groups):
            kept.update(group)
    train = tuple(example for index, example in enumerate(examples) if index not in kept)
    return train, tuple(examples[index] for index in sorted(kept))


@dataclass(frozen=True, slots=True)
class Leak:
    """Two rows that show the same, or nearly the same, on both sides of a split."""

    train: Place
    validation: Place
    same: bool  # byte for byte

    def __str__(self) -> str:
        return f"{self.validation} shows {'the same picture as' if self.same else 'nearly the same as'} {self.train}"


def leakage(train: Sequence[Example], validation: Sequence[Example]) -> list[Leak]:
    """For each row of `validation` whose pictures are learnt from: where.

    Pictures are the same in their bytes, or alike as thumbnails of 8 x 8 pixels. In trials with rendered pictures this
    found every copy that was scaled or saved as JPEG and nine of ten that were cut by two pixels, and took no two
    different ones for alike; the average hash (one bit a pixel) missed a sixth, and mistook a third of plain ones.
    Brightened copies are not found.
    """
    known, places = _looks(train)
    asked, rows = _looks(validation)
    bytes_of = dict(zip((sha256 for sha256, _ in known), places, strict=True))
    leaks: dict[Place, Leak] = {}
    for (sha256, _), place, near in zip(asked, rows, _nearest(asked, known), strict=True):
        if sha256 in bytes_of:
            leaks[place] = Leak(bytes_of[sha256], place, same=True)
        elif near is not None:
            leaks.setdefault(place, Leak(places[near], place, same=False))
    return list(leaks.values())


def _groups(examples: Sequence[Example]) -> list[list[int]]:
    """Numbers of examples that are tied by common pictures (union-find); one without pictures stands for itself."""
    parent = list(range(len(examples)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    for index, example in enumerate(examples):
        for key in {seen(picture).sha256 for picture in pictures(example)} or {content(example)}:
            parent[root(index)] = root(first.setdefault(key, index))
    groups = defaultdict(list)
    for index in range(len(examples)):
        groups[root(index)].append(index)
    return list(groups.values())


def _ordered(groups: list[list[int]], examples: Sequence[Example], seed: int) -> list[list[int]]:
    """Groups of the same rarest class together, in a seeded order among themselves."""
    counts = Counter(name for example in examples for name in classes(example))

    def key(group: list[int]) -> tuple[str, str]:
        names = {name for index in group for name in classes(examples[index])}
        rarest = min(names, key=lambda name: (counts[name], name), default="")
        told = "".join(sorted(content(examples[index]) for index in group))
        return rarest, hashlib.sha256(f"{seed}/{told}".encode()).hexdigest()

    return sorted(groups, key=key)


def _looks(examples: Sequence[Example]) -> tuple[list[tuple[str, bytes]], list[Place]]:
    found = [(seen(picture), example.place) for example in examples for picture in pictures(example)]
    return [(look.sha256, look.likeness) for look, _ in found], [place for _, place in found]


def _nearest(asked: Sequence[tuple[str, bytes]], known: Sequence[tuple[str, bytes]]) -> list[int | None]:
    """For each picture the number of the one most like it, if it is alike at all."""
    if not asked or not known:
        return [None] * len(asked)
    near: list[int | None] = []
    mine, others = _thumbnails(asked), _thumbnails(known)
    squares = np.square(others).sum(axis=1)
    for part in np.array_split(mine, -(-len(mine) // CHUNK)):
        distances = np.square(part).sum(axis=1)[:, None] + squares - 2 * part @ others.T
        best = distances.argmin(axis=1)
        least = distances[np.arange(len(best)), best]
        near += [int(i) if d <= ALIKE**2 * mine.shape[1] else None for i, d in zip(best, least, strict=True)]
    return near


def _thumbnails(looks: Sequence[tuple[str, bytes]]) -> NDArray[np.float32]:
    pixels = np.frombuffer(b"".join(likeness for _, likeness in looks), dtype=np.uint8)
    return pixels.reshape(len(looks), -1).astype(np.float32)
