"""How far two answers to one question lie apart.

Detections: each object of one answer against the nearest of its label in the other -> pixels, score
Embeddings: 1 - cosine
"""

import json
import math
from typing import Any, NamedTuple

import numpy as np


class Apart(NamedTuple):
    """The largest difference of a corner in pixels, and of a score; infinite where an object has no counterpart."""

    pixels: float
    score: float


NOWHERE = Apart(math.inf, math.inf)


def detections(one: bytes, other: bytes) -> Apart:
    """How far the objects of two native answers lie apart."""
    mine, left = (json.loads(answer)["data"] for answer in (one, other))
    if len(mine) != len(left):
        return NOWHERE
    gaps = [Apart(0, 0)]
    for item in mine:
        candidates = [(_gap(item, found), place) for place, found in enumerate(left) if found["label"] == item["label"]]
        if not candidates:
            return NOWHERE
        gap, place = min(candidates)
        gaps.append(gap)
        del left[place]
    return Apart(max(gap.pixels for gap in gaps), max(gap.score for gap in gaps))


def count(answer: bytes) -> int:
    """Objects of a native answer."""
    return len(json.loads(answer)["data"])


def embeddings(one: bytes, other: bytes) -> float:
    """1 - cosine of two answers with one vector each."""
    mine, theirs = (np.asarray(json.loads(answer)["data"][0]["embedding"], np.float64) for answer in (one, other))
    return float(1 - mine @ theirs / (np.linalg.norm(mine) * np.linalg.norm(theirs)))


def _gap(item: Any, other: Any) -> Apart:
    corners = (abs(item["box"][corner] - other["box"][corner]) for corner in ("xmin", "ymin", "xmax", "ymax"))
    return Apart(max(corners), abs(item["score"] - other["score"]))
