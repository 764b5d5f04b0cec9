"""How good an OWL-ViT is when it is asked for all names of the data at once: COCO's scores, confusion, pictures."""

from collections.abc import Sequence
from heapq import nlargest

from services.finetune.data.examples import DetectionExample
from services.finetune.detection.drawing import shown
from services.finetune.detection.matching import confusion, match
from services.finetune.detection.precision import Precision
from services.finetune.owlvit.answers import answers
from services.finetune.task import Evaluation
from services.finetune.towers.shown import SHOWN
from services.owlvit.model import OwlVit

CONFUSED = 20  # names that a matrix can show


def evaluate(model: OwlVit, examples: Sequence[DetectionExample]) -> Evaluation:
    """Scores ap, ap50, ap75, ar and ap50/<name>; confusion and pictures at the threshold that the version serves by."""
    names, threshold = named(examples), model.serving.state.defaults.threshold
    precision, judged = _precision(names), []
    for example, found in answers(model, examples, names):
        precision.add(example, found)
        judged.append((example, found, match(example, found, threshold)))
    scores, curves = precision.compute()
    worst = nlargest(SHOWN, judged, key=lambda one: one[2].mistakes)
    return Evaluation(
        scores=scores,
        charts={"precision over recall": curves},
        confusion=confusion((matches for _, _, matches in judged), names) if len(names) <= CONFUSED else None,
        shown=[shown(example, found, matches, threshold=threshold) for example, found, matches in worst],
    )


def scores(model: OwlVit, examples: Sequence[DetectionExample]) -> dict[str, float]:
    """The scores of `evaluate` alone: what a training is judged by on the way."""
    names = named(examples)
    precision = _precision(names)
    for example, found in answers(model, examples, names):
        precision.add(example, found)
    return precision.compute()[0]


def named(examples: Sequence[DetectionExample]) -> list[str]:
    """The names of all objects, sorted."""
    return sorted({label for example in examples for label in example.labels})


def _precision(names: Sequence[str]) -> Precision:
    return Precision({name: number for number, name in enumerate(names, start=1)}, masks=False)
