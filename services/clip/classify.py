"""Zero-shot classification as pure functions.

question  request + label sets -> labels, the words of each, templates
prompts   words × templates -> texts, for CLIP's text tower
classes   one vector per word: the mean over its templates (prompt ensembling, Radford et al. 2021, section 3.1.4)
scores    pictures × classes -> softmax over the labels, or each label alone against the background
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.clip.labelsets import Activation, LabelSet, is_template
from services.clip.schemas import Classification, ClassifyRequest, ScoredLabel
from shared.errors import InvalidRequest

Matrix = NDArray[np.float32]


class Prompt(NamedTuple):
    """A text for CLIP's text tower, and the field of the request that an error about it names."""

    text: str
    field: str


@dataclass(frozen=True, slots=True)
class Question:
    """What to tell apart: `words` go into the templates and `labels` into the answer, where `thresholds` flag them."""

    labels: tuple[str, ...]
    words: tuple[Prompt, ...]
    thresholds: tuple[float | None, ...]
    templates: tuple[str, ...]
    background: tuple[Prompt, ...]
    activation: Activation

    @property
    def prompts(self) -> tuple[Prompt, ...]:
        """Every word in every template, word by word; the background comes last, where it counts."""
        words = self.words if self.activation == "softmax" else (*self.words, *self.background)
        return tuple(Prompt(t.replace("{}", text), field) for text, field in words for t in self.templates)


def question(wish: ClassifyRequest, sets: Mapping[str, LabelSet]) -> Question:
    """The question that a request asks. Raises `InvalidRequest` where it names labels twice, or not at all."""
    _check_templates(wish.templates or ())
    chosen, own = _label_set(wish, sets), wish.label_set is None
    words = (label.words or label.label for label in chosen.labels)
    return Question(
        labels=tuple(label.label for label in chosen.labels),
        words=tuple(Prompt(text, f"labels[{n}]" if own else "label_set") for n, text in enumerate(words)),
        thresholds=tuple(label.threshold if wish.threshold is None else wish.threshold for label in chosen.labels),
        templates=tuple(wish.templates or chosen.templates),
        background=tuple(Prompt(text, "background") for text in wish.background or chosen.background),
        activation=wish.activation or chosen.activation,
    )


def classes(vectors: Matrix, templates: int) -> Matrix:
    """One vector of length one per word, from `vectors` [words × templates, d] in the order of `prompts`."""
    return unit(vectors.reshape(-1, templates, vectors.shape[-1]).mean(axis=1))


def scores(pictures: Matrix, classes: Matrix, asked: Question, *, scale: float) -> NDArray[np.float64]:
    """Scores [pictures, labels] from vectors of length one; `scale` is the model's factor before a softmax."""
    logits = scale * pictures.astype(np.float64) @ classes.astype(np.float64).T
    known = len(asked.labels)
    if asked.activation == "softmax":
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return chances
    # CLIP's logits have no zero of their own: a label is as likely as it beats what shows none of the labels.
    background = scale * pictures.astype(np.float64) @ unit(classes[known:].mean(axis=0))
    ahead = logits[:, :known] - background[:, None]
    alone: NDArray[np.float64] = 1 / (1 + np.exp(np.clip(-ahead, -500, 500)))
    return alone


def unit(vectors: Matrix) -> Matrix:
    """`vectors` [..., d], each brought to length one."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Matrix = np.divide(vectors, np.maximum(lengths, 1e-12), dtype=np.float32)
    return scaled


def rank(row: Sequence[float], asked: Question, *, index: int, top_k: int | None) -> Classification:
    """The labels of picture `index`, the best first."""
    told = [_told(*one) for one in zip(row, asked.labels, asked.thresholds, strict=True)]
    best = sorted(told, key=lambda one: -one.score)[:top_k]
    flags = [one.flagged for one in told if one.flagged is not None]
    return Classification(index=index, flagged=any(flags) if flags else None, labels=best)


def _told(score: float, label: str, threshold: float | None) -> ScoredLabel:
    score = round(score, 6)
    return ScoredLabel(
        label=label, score=score, threshold=threshold, flagged=None if threshold is None else score >= threshold
    )


def _label_set(wish: ClassifyRequest, sets: Mapping[str, LabelSet]) -> LabelSet:
    """The set that is named, or one made of the labels of the request."""
    if wish.label_set is None:
        return _own_set(wish.labels)
    if wish.labels is not None:
        raise InvalidRequest("Send 'labels' or 'label_set', not both.", param="label_set")
    if wish.label_set not in sets:
        known = ", ".join(sets)
        raise InvalidRequest(f"There is no such label set here. There are: {known}.", param="label_set")
    return sets[wish.label_set]


def _own_set(labels: Sequence[str] | None) -> LabelSet:
    if labels is None:
        raise InvalidRequest(
            "'labels' is required, or the name of a set as 'label_set'.", code="missing_field", param="labels"
        )
    for number, label in enumerate(labels):
        if not label.strip():
            raise InvalidRequest(f"'labels[{number}]' is blank. Name a label.", param=f"labels[{number}]")
        if label in labels[:number]:
            raise InvalidRequest(f"'labels[{number}]' is there twice. Send each once.", param=f"labels[{number}]")
    return LabelSet.model_validate({"labels": labels})


def _check_templates(templates: Sequence[str]) -> None:
    for number, template in enumerate(templates):
        if not is_template(template):
            raise InvalidRequest(
                f"'templates[{number}]' needs exactly one {{}} where the label goes, and no other brace.",
                param=f"templates[{number}]",
            )
