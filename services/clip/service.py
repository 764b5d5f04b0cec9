"""What the CLIP service adds to a service: many items as one answer of one embedding space, and named label sets.

space     the weights that serve, or those kept beside them whose embedding space the request demands
embed     items, a few at a time -> vectors, all by the weights that the request began with
classify  the question's class vectors from memory, or from its prompts -> pictures against them
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.clip.classify import Matrix, Question, classes, scores
from services.clip.items import Item
from services.clip.labelsets import LabelSets
from services.clip.model import Clip
from shared.errors import SpaceMismatch
from shared.serving.batch import AnyModel
from shared.serving.cache import Cache
from shared.serving.engine import Answer
from shared.serving.model import Identity, Weights
from shared.serving.service import Service
from shared.settings import ServiceSettings

DEMANDED = "if-embedding-space"
WINDOW = 16  # items of one request that wait at a time, so that a long one does not fill the queue
REMEMBERED = 256  # questions; one of 100 labels and 512 dimensions takes 200 kB


@dataclass(frozen=True, slots=True)
class Space:
    """The weights that answer, and what their vectors mean."""

    weights: Weights

    @property
    def model(self) -> Clip:
        """The model that holds the weights."""
        model: Clip = self.weights.model
        return model

    @property
    def identity(self) -> Identity:
        """Which weights these are."""
        return self.weights.identity

    @property
    def id(self) -> str:
        """The id of the space: only vectors of one space may be compared."""
        return self.model.space

    @property
    def scale(self) -> float:
        """What cosines are multiplied with before a softmax."""
        return self.model.logit_scale


@dataclass(frozen=True, slots=True)
class Embedded:
    """Answers of one space, in the order of the items."""

    space: Space
    answers: Sequence[Answer]

    @property
    def vectors(self) -> Matrix:
        """The vectors [items, d] of length one."""
        return np.stack([answer.result.vector for answer in self.answers])

    @property
    def tokens(self) -> int:
        """Tokens of all texts."""
        return sum(answer.result.tokens for answer in self.answers)

    def __getitem__(self, part: slice) -> "Embedded":
        return Embedded(self.space, self.answers[part])


@dataclass(frozen=True, slots=True)
class Classes:
    """The class vectors of a question, and the tokens of its prompts."""

    vectors: Matrix
    tokens: int


@dataclass(frozen=True, slots=True)
class Classified:
    """Scores [pictures, labels], the pictures as they were embedded, and the tokens of the prompts."""

    scores: NDArray[np.float64]
    pictures: Embedded
    tokens: int


class ClipService(Service):
    """A service of CLIP models that knows named label sets."""

    def __init__(self, settings: ServiceSettings, models: Callable[[], AnyModel], label_sets: LabelSets) -> None:
        super().__init__(settings, models)
        self.label_sets = label_sets
        self._classes = {
            name: Cache[tuple[object, ...], Classes](REMEMBERED, model=name, name="classes") for name in self.references
        }

    def space(self, name: str, demanded: str | None = None) -> Space:
        """The space that `name` answers in now, or the one of that id, where its weights are kept beside.

        Raises `SpaceMismatch`, `ModelNotFound`, or `Unavailable` while it loads.
        """
        weights, kept = self.weights(name), self.running.lane(name).beside
        spaces = [Space(weights), *([] if kept is None else [Space(kept)])]
        chosen = next((space for space in spaces if demanded in (None, space.id)), None)
        if chosen is None:
            assert demanded is not None
            raise _mismatch(demanded, [space.id for space in spaces])
        return chosen

    async def embed(self, space: Space, items: Sequence[Item], *, deadline: float) -> Embedded:
        """Embed `items` in `space`, whatever serves meanwhile."""
        name, answers = space.identity.model, list[Answer]()
        for start in range(0, len(items), WINDOW):
            window = items[start : start + WINDOW]
            answers += await self.running.infer_all(name, window, deadline=deadline, weights=space.weights)
        return Embedded(space, answers)

    async def classify(self, space: Space, asked: Question, pictures: Sequence[Item], *, deadline: float) -> Classified:
        """Score `pictures` by `asked`; the text tower runs only for questions that these weights have not seen."""
        cache = self._classes[space.identity.model]
        key = (space.identity.digest, asked.prompts, len(asked.templates))
        known = cache.get(key)
        if known is not None:
            seen = await self.embed(space, pictures, deadline=deadline)
            return Classified(_scores(seen, known, asked), seen, known.tokens)
        prompts = [Item(text, None, field) for text, field in asked.prompts]
        both = await self.embed(space, [*pictures, *prompts], deadline=deadline)
        seen, texts = both[: len(pictures)], both[len(pictures) :]
        known = Classes(classes(texts.vectors, len(asked.templates)), texts.tokens)
        cache.put(key, known)
        return Classified(_scores(seen, known, asked), seen, known.tokens)


def _mismatch(demanded: str, spaces: Sequence[str]) -> SpaceMismatch:
    shown = demanded[:64] if demanded.isascii() and demanded.isprintable() else "another one"
    return SpaceMismatch(
        f"The request demands embedding space {shown}; this model answers in {' and '.join(spaces)}."
        " Embed what you have stored anew, or ask for a version of the model that answers in that space.",
        param=DEMANDED,
    )


def _scores(seen: Embedded, known: Classes, asked: Question) -> NDArray[np.float64]:
    return scores(seen.vectors, known.vectors, asked, scale=seen.space.scale)
