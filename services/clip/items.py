"""What goes into the model and what comes out: a text or a picture, and its place in the embedding space."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Item:
    """Either a `text` or the `data` of an encoded picture, and the field of the request that an error would name."""

    text: str | None = None
    data: bytes | None = None
    field: str = "input"


@dataclass(frozen=True, slots=True)
class Embedding:
    """A vector [d] of length one, the tokens of its text (0 for a picture), and the id of the space it lies in."""

    vector: Vector
    tokens: int
    space: str
