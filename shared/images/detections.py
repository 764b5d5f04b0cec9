"""What a detector found in one picture, before it takes a wire format."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Detection:
    """One object.

    `box` is (xmin, ymin, xmax, ymax) in absolute pixels of the picture after EXIF orientation; `score` lies in 0..1;
    `mask` has the picture's height and width.
    """

    box: tuple[float, float, float, float]
    label: str
    label_id: int
    score: float
    mask: Mask | None = None


@dataclass(frozen=True, slots=True)
class Detections:
    """All objects of one picture of `width` x `height` pixels, the best score first."""

    width: int
    height: int
    items: tuple[Detection, ...]
