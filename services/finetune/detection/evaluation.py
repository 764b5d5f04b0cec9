"""How good a version is: answers of the serving class -> COCO's scores, confusion, and the worst pictures."""

from collections.abc import Sequence
from dataclasses import replace
from heapq import nlargest

from services.detection.model import Detector
from services.finetune.data.examples import DetectionExample
from services.finetune.detection.answers import answers
from services.finetune.detection.drawing import shown
from services.finetune.detection.matching import Matches, confusion, match
from services.finetune.detection.precision import Precision
from services.finetune.task import Evaluation
from shared.images.detections import Detections

SHOWN = 24

Judged = tuple[DetectionExample, Detections, Matches]


def evaluate(made: Detector, examples: Sequence[DetectionExample]) -> Evaluation:
    """Judge a detector. A class that it does not know counts, as one that it never finds.

    Scores: ap, ap50, ap75, ar, ap50/<class>, and mask_ap, mask_ap50 where version and truth have masks.
    """
    ids = _ids(made, examples)
    masks = made.finds_masks and all(example.masks is not None for example in examples if example.boxes)
    precision, judged = Precision(ids, masks=masks), []
    for example, found in answers(made, examples, masks=masks):
        precision.add(example, found)
        judged.append((example, _light(found), match(example, found)))
    scores, curves = precision.compute()
    return Evaluation(
        scores=scores,
        charts={"precision over recall": curves},
        confusion=confusion((matches for _, _, matches in judged), list(ids)),
        shown=[shown(*one) for one in nlargest(SHOWN, judged, key=_mistakes)],
    )


def scores(made: Detector, examples: Sequence[DetectionExample]) -> dict[str, float]:
    """The scores of `evaluate` for boxes, and nothing else: what a training is judged by on the way."""
    precision = Precision(_ids(made, examples), masks=False)
    for example, found in answers(made, examples):
        precision.add(example, found)
    return precision.compute()[0]


def _ids(made: Detector, examples: Sequence[DetectionExample]) -> dict[str, int]:
    """A number for each class that the version or the truth has."""
    unknown = {label for example in examples for label in example.labels} - set(made.labels)
    return {label: number for number, label in enumerate([*made.labels, *sorted(unknown)], start=1)}


def _mistakes(one: Judged) -> int:
    return one[2].mistakes


def _light(found: Detections) -> Detections:
    """Without masks, which would fill the memory before all pictures are seen."""
    return replace(found, items=tuple(replace(item, mask=None) for item in found.items))
