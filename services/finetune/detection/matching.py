"""Which answer means which object: by the overlap of their boxes, whatever their labels say.

Each answer, the surest first, takes the free object that it overlaps most, if that is a half at least.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torchvision.ops import box_iou

from services.detection.model import Parameters
from services.finetune.data.examples import DetectionExample
from services.finetune.task import Confusion
from shared.images.detections import Detection, Detections

OVERLAP = 0.5
THRESHOLD = Parameters().threshold  # what a request that names none gets
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Matches:
    """One picture: (what is, what it was taken for) of every object and every answer, "nothing" where one is alone."""

    pairs: tuple[tuple[str, str], ...]

    @property
    def mistakes(self) -> int:
        """Objects missed or misnamed, and answers that mean nothing."""
        return sum(truth != taken for truth, taken in self.pairs)


def sure(found: Detections, threshold: float = THRESHOLD) -> list[Detection]:
    """What a request that says nothing of a threshold would be answered."""
    return [one for one in found.items if one.score >= threshold]


def match(example: DetectionExample, found: Detections, threshold: float = THRESHOLD) -> Matches:
    """Hold the sure answers against the truth."""
    answers, free = sure(found, threshold), dict(enumerate(example.labels))
    pairs = []
    for answer, overlaps in zip(answers, _overlaps(answers, example), strict=True):
        best = max(free, key=overlaps.__getitem__, default=None)
        hit = best is not None and overlaps[best] >= OVERLAP
        pairs.append((free.pop(best) if hit and best is not None else NOTHING, answer.label))
    return Matches((*pairs, *((label, NOTHING) for label in free.values())))


def confusion(matches: Iterable[Matches], labels: Sequence[str]) -> Confusion:
    """How often what is was taken for what, over all pictures; of `labels`, those that occur."""
    counts = Counter(pair for one in matches for pair in one.pairs)
    occurring = {name for pair in counts for name in pair}
    names = [*(label for label in labels if label in occurring), NOTHING]
    return Confusion(names, [[counts[truth, taken] for taken in names] for truth in names])


def _overlaps(answers: Sequence[Detection], example: DetectionExample) -> list[list[float]]:
    ours = torch.tensor([answer.box for answer in answers]).reshape(-1, 4)
    overlaps: list[list[float]] = box_iou(ours, torch.tensor(example.boxes).reshape(-1, 4)).tolist()
    return overlaps
