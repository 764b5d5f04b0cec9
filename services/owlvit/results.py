"""The table of a batch, on the host -> one answer per picture, under the labels of its own query."""

from collections.abc import Sequence

from torch import Tensor

from services.owlvit.pictures import Picture
from services.owlvit.queries import Label
from shared.images.detections import Detection, Detections


def collect(
    table: Tensor, *, pictures: Sequence[Picture], labels: Sequence[Sequence[Label]], limits: Sequence[int]
) -> list[Detections]:
    """Rows [n, k, 6] of corners, score and query, by falling score and with dropped ones below zero, as answers."""
    answers = []
    for rows, picture, own, limit in zip(table.tolist(), pictures, labels, limits, strict=True):
        kept = (_detection(row, own) for row in rows[:limit] if row[4] >= 0)
        answers.append(Detections(picture.width, picture.height, tuple(kept)))
    return answers


def _detection(row: Sequence[float], labels: Sequence[Label]) -> Detection:
    x0, y0, x1, y1, score, query = row
    label = labels[int(query)]
    return Detection((x0, y0, x1, y1), label.name, label.index, score)
