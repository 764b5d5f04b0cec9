"""How good a CLIP is on pairs, by the model that serves: retrieval both ways, and zero-shot classification.

examples -> vectors -> recall@1, @5, @10 of texts for pictures, and of pictures for texts (text_recall@…)
                    -> the nearest class, by the service's own template -> zero_shot, zero_shot/<class>
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.clip.classify import Matrix, classes
from services.clip.labelsets import DEFAULT_TEMPLATE
from services.clip.model import Clip, Item
from services.finetune.clip.vectors import vectors
from services.finetune.data.examples import PairExample
from services.finetune.task import Confusion, Evaluation, Shown
from services.finetune.towers.shown import SHOWN, thumbnail

RANKS = (1, 5, 10)
CONFUSED = 20  # classes that a matrix can show


@dataclass(frozen=True, slots=True)
class Told:
    """What zero-shot classification says: chances [pictures, classes] against the class that is right [pictures]."""

    names: Sequence[str]
    chances: NDArray[np.float64]
    truth: NDArray[np.intp]

    @property
    def answers(self) -> NDArray[np.intp]:
        """The likeliest class of each picture."""
        answers: NDArray[np.intp] = self.chances.argmax(axis=1)
        return answers


def evaluate(model: Clip, examples: Sequence[PairExample], *, shown: int = SHOWN) -> Evaluation:
    """All figures, with `shown` examples beside the answers. Texts that are equal are one text."""
    pictures = vectors(model, [Item(data=example.picture.read()) for example in examples])
    named = [example for example in examples if example.label] or list(examples)
    rows = [number for number, example in enumerate(examples) if example.label or len(named) == len(examples)]
    told = zero_shot(model, pictures[rows], named)
    return Evaluation(
        scores={**_by_class(told), **recall(model, pictures, [example.text for example in examples])},
        confusion=_confusion(told) if len(told.names) <= CONFUSED else None,
        shown=_shown(told, named, shown),
    )


def zero_shot(model: Clip, pictures: Matrix, examples: Sequence[PairExample]) -> Told:
    """Classify each picture among the labels of all, or among their texts where they have no labels."""
    templates = (DEFAULT_TEMPLATE,) if examples[0].label else ("{}",)
    right = [example.label or example.text for example in examples]
    names = sorted(set(right))
    prompts = [Item(template.replace("{}", name.replace("_", " "))) for name in names for template in templates]
    logits = model.logit_scale * pictures.astype(np.float64) @ classes(vectors(model, prompts), len(templates)).T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = powers / powers.sum(axis=1, keepdims=True)
    return Told(names, chances, np.array([names.index(name) for name in right]))


def recall(model: Clip, pictures: Matrix, texts: Sequence[str]) -> Mapping[str, float]:
    """Share of pictures whose text is among the nearest 1, 5 and 10, and of texts one of whose pictures is."""
    distinct = sorted(set(texts))
    right = np.array([text == other for text in texts for other in distinct]).reshape(len(texts), -1)
    likeness = pictures @ vectors(model, [Item(text) for text in distinct]).T
    return {
        f"{name}@{rank}": _share_near(matrix, marks, rank)
        for name, matrix, marks in (("recall", likeness, right), ("text_recall", likeness.T, right.T))
        for rank in RANKS
    }


def _share_near(likeness: Matrix, right: NDArray[np.bool_], rank: int) -> float:
    near = np.argsort(-likeness, axis=1, kind="stable")[:, :rank]
    return float(np.take_along_axis(right, near, axis=1).any(axis=1).mean())


def _by_class(told: Told) -> Mapping[str, float]:
    hits = told.answers == told.truth
    each = {f"zero_shot/{told.names[one]}": float(hits[told.truth == one].mean()) for one in np.unique(told.truth)}
    return {"zero_shot": float(hits.mean()), **each}


def _confusion(told: Told) -> Confusion:
    counts = Counter(zip(told.truth.tolist(), told.answers.tolist(), strict=True))
    numbers = range(len(told.names))
    return Confusion(told.names, [[counts[row, column] for column in numbers] for row in numbers])


def _shown(told: Told, examples: Sequence[PairExample], most: int) -> list[Shown]:
    """The examples whose right class seemed least likely, the worst first."""
    errors = 1 - told.chances[np.arange(len(examples)), told.truth]
    worst = np.argsort(-errors, kind="stable")[:most]
    return [
        Shown(
            title=str(examples[number].place),
            error=float(errors[number]),
            picture=thumbnail(examples[number].picture),
            truth=told.names[told.truth[number]],
            answer=f"{told.names[told.answers[number]]} ({told.chances[number].max():.2f})",
        )
        for number in worst.tolist()
    ]
