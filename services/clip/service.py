"""What the CLIP service adds to a service: many items as one answer of one embedding space, and named label sets.

embed     items, a few at a time -> vectors, all by the same weights, or anew
classify  the question's class vectors from memory, or from its prompts -> pictures against them
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.clip.classify import Matrix, Question, classes, scores
from services.clip.items import Item
from services.clip.labelsets import LabelSets
from shared.errors import Unavailable
from shared.serving.cache import Cache
from shared.serving.engine import Answer
from shared.serving.model import Identity
from shared.serving.service import AnyModel, Service
from shared.settings import ServiceSettings

WINDOW = 16  # items of one request that wait at a time, so that a long one does not fill the queue
ATTEMPTS = 3
REMEMBERED = 256  # questions; one of 100 labels and 512 dimensions takes 200 kB


@dataclass(frozen=True, slots=True)
class Space:
    """The weights that answer, and what their vectors mean."""

    identity: Identity
    id: str
    scale: float


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

    def space(self, name: str) -> Space:
        """The space that `name` answers in now. Raises `ModelNotFound`, or `Unavailable` while it loads."""
        lane, model = self.running.lane(name), self.model(name)
        assert lane.identity is not None
        return Space(lane.identity, model.space, model.logit_scale)

    async def embed(self, name: str, items: Sequence[Item], *, deadline: float) -> Embedded:
        """Embed `items` by one set of weights: when a push comes between, all of them once more.

        Identity and space are compared, since weights that are being tried are the model's before they are the lane's.
        """
        for _ in range(ATTEMPTS):
            space = self.space(name)
            answers: list[Answer] = []
            for start in range(0, len(items), WINDOW):
                window = items[start : start + WINDOW]
                answers += await self.running.infer_all(name, window, deadline=deadline)
            if all((answer.identity, answer.result.space) == (space.identity, space.id) for answer in answers):
                return Embedded(space, answers)
        raise Unavailable("The weights changed while the request ran. Send it again.", code="weights_changed")

    async def classify(self, name: str, asked: Question, pictures: Sequence[Item], *, deadline: float) -> Classified:
        """Score `pictures` by `asked`; the text tower runs only for questions that these weights have not seen."""
        cache, question = self._classes[name], (asked.prompts, len(asked.templates))
        digest = self.space(name).identity.digest
        known = cache.get((digest, question))
        if known is not None:
            seen = await self.embed(name, pictures, deadline=deadline)
            if seen.space.identity.digest == digest:
                return Classified(_scores(seen, known, asked), seen, known.tokens)
        prompts = [Item(text, None, field) for text, field in asked.prompts]
        both = await self.embed(name, [*pictures, *prompts], deadline=deadline)
        seen, texts = both[: len(pictures)], both[len(pictures) :]
        known = Classes(classes(texts.vectors, len(asked.templates)), texts.tokens)
        cache.put((both.space.identity.digest, question), known)
        return Classified(_scores(seen, known, asked), seen, known.tokens)


def _scores(seen: Embedded, known: Classes, asked: Question) -> NDArray[np.float64]:
    return scores(seen.vectors, known.vectors, asked, scale=seen.space.scale)
