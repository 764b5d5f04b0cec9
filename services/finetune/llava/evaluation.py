"""How good a version is on conversations: the last answer of each, as the service itself gives it.

version -> services.llava.model.Llava -> the conversation up to its last question -> greedy answer -> right, or not
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from io import BytesIO
from pathlib import Path

import torch
from PIL import Image, ImageOps

from services.finetune.data.examples import ChatExample, Source, pictures
from services.finetune.draft import with_manifest
from services.finetune.llava.scoring import score
from services.finetune.llava.script import Scribe, message
from services.finetune.task import Evaluation, Shown
from services.llava.chat import Talk
from services.llava.model import Llava
from services.llava.telling import Telling
from services.llava.words import Words

BATCH = 16
SHOWN = 24
SIDE = 256  # pixels of a shown picture


@dataclass(frozen=True, slots=True)
class Answered:
    """What was said, and what would have been right."""

    example: ChatExample
    truth: str
    answer: str

    @property
    def right(self) -> bool:
        """Whether the whole answer is right."""
        return self.answer == self.truth


def served(version: Path) -> Llava:
    """The model that serves, with the weights of a version, which may lack its manifest."""
    model = Llava(torch.device("cpu"))
    with with_manifest(version, "llava") as folder:
        model.use(model.read(folder))
    return model


def evaluate(model: Llava, examples: Sequence[ChatExample]) -> Evaluation:
    """Exact match of whole answers, in all and by kind, and the mean loss of a token of an answer."""
    state = model.serving.state
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    loss = score(state.module, [scribe.write(example) for example in examples], state.pixels).loss
    told = list(_answered(model, state.words, examples))
    kinds = defaultdict(list)
    for each in told:
        kinds[each.example.kind].append(each.right)
    by_kind = {f"exact_match/{kind}": sum(r) / len(r) for kind, r in sorted(kinds.items()) if kind}
    scores = {"exact_match": sum(each.right for each in told) / max(1, len(told)), "loss": loss, **by_kind}
    worst = sorted(told, key=_error, reverse=True)[:SHOWN]
    return Evaluation(scores, shown=[_shown(each) for each in worst])


def _answered(model: Llava, words: Words, examples: Sequence[ChatExample]) -> Iterator[Answered]:
    for first in range(0, len(examples), BATCH):
        part = examples[first : first + BATCH]
        features = [model.preprocess(talk(example)) for example in part]
        for example, tokens in zip(part, model.predict(features), strict=True):
            telling = Telling(words)
            said = "".join(telling.feed(token) for token in tokens) + telling.finish()
            yield Answered(example, _text(example.turns[-1].parts), said.strip())


def talk(example: ChatExample) -> Talk:
    """What a user asks who has the conversation up to its last question."""
    data = (picture.read() for picture in pictures(example))
    return Talk(tuple(message(turn, data) for turn in example.turns[:-1]))


def _text(parts: Sequence[str | Source]) -> str:
    return "\n".join(part.strip() for part in parts if isinstance(part, str))


def _error(told: Answered) -> float:
    return 0.0 if told.right else 1 - 0.5 * SequenceMatcher(None, told.truth, told.answer, autojunk=False).ratio()


def _shown(told: Answered) -> Shown:
    question = _text(told.example.turns[-2].parts)
    return Shown(question, _error(told), _beside(pictures(told.example)), told.truth, told.answer)


def _beside(sources: Sequence[Source]) -> Image.Image:
    """The pictures of a conversation in a row; a grey one where there is none."""
    tiles = [ImageOps.contain(ImageOps.exif_transpose(Image.open(BytesIO(s.read()))), (SIDE, SIDE)) for s in sources]
    sheet = Image.new("RGB", (SIDE * max(1, len(tiles)), SIDE), (128, 128, 128))
    for number, tile in enumerate(tiles):
        sheet.paste(tile.convert("RGB"), (SIDE * number, 0))
    return sheet
