"""Detections on the device -> one answer per picture on the host.

each run of the network -> rows (box in pixels of the upload, score, label, picture) -> one table -> one copy
each row -> Detection, its mask pasted where one was asked for
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor

from services.detection.masks import paste
from services.detection.pictures import Size
from services.detection.postprocess import Candidates
from shared.images.detections import Detection, Detections


@dataclass(frozen=True, slots=True)
class Found:
    """What one run of the network found.

    detections   by picture and falling score, in pixels of the network's input
    masks        [k, m, m] probabilities, for the detections in pictures that asked for masks
    factors      [n, 4] from the network's input to the uploaded pictures
    positions    [n] of the run's pictures in the whole batch
    """

    detections: Candidates
    masks: Tensor | None
    factors: Tensor
    positions: Sequence[int]

    def table(self) -> Tensor:
        """[k, 7]: box, score, label, position of the picture; the last two are exact in float32."""
        one = self.detections
        positions = torch.tensor(self.positions, device=one.images.device)[one.images]
        columns = torch.stack([one.scores, one.labels, positions], dim=1)
        return torch.cat([one.boxes * self.factors[one.images], columns], dim=1)


def collect(
    found: Sequence[Found], *, pictures: Sequence[Size], masked: Sequence[bool], labels: Sequence[str]
) -> list[Detections]:
    """The answers to a batch: the size of each of its pictures, whether it asked for masks, and the classes' names."""
    table = torch.cat([one.table() for one in found]).cpu()
    masks = chain.from_iterable(one.masks.cpu() for one in found if one.masks is not None)
    items: list[list[Detection]] = [[] for _ in pictures]
    for row, (x0, y0, x1, y1, score, label, position) in zip(table, table.tolist(), strict=True):
        picture, number = int(position), int(label)
        mask = paste(next(masks), row[:4], pictures[picture]) if masked[picture] else None
        items[picture].append(Detection((x0, y0, x1, y1), labels[number - 1], number, score, mask))
    return [Detections(width, height, tuple(own)) for (height, width), own in zip(pictures, items, strict=True)]
