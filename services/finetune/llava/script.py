"""Conversations -> token ids, by the service's own template and words, so that training and serving cannot drift.

    <s>USER: <image>\\n question ASSISTANT: answer</s>USER: question ASSISTANT: answer</s>

Only what the assistant says is learnt, with the mark that ends it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.finetune.data.examples import ChatExample, Source, pictures
from services.finetune.data.examples import Turn as Told
from services.finetune.errors import DataError
from services.llava.chat import Message, Picture
from services.llava.template import End, pieces
from services.llava.words import Words
from shared.errors import InvalidRequest

IGNORED = -100  # label of a token that is not learnt


@dataclass(frozen=True, slots=True)
class Script:
    """A conversation as the network reads it.

    labels    each token itself where the assistant says it, else `IGNORED`
    opening   how many tokens there are up to the end of the last picture
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pictures: tuple[Source, ...]
    opening: int

    @property
    def answer(self) -> tuple[int, ...]:
        """The tokens of the last answer, with the mark that ends it."""
        length = next(n for n, label in enumerate(reversed(self.labels)) if label == IGNORED)
        return self.ids[-length:]


class Scribe:
    """Writes the conversations for one version."""

    def __init__(self, words: Words, picture_tokens: int, context: int) -> None:
        """`context` is the most tokens that the network reads."""
        self._words, self._picture_tokens, self._context = words, picture_tokens, context

    def write(self, example: ChatExample) -> Script:
        """The whole conversation. Raises `DataError` for one that serving could not read either."""
        try:
            script = self._written(example)
        except InvalidRequest as error:
            raise DataError(f"{example.place}: {error.message}") from error
        if len(script.ids) > self._context:
            length = f"the conversation has {len(script.ids)} tokens, its pictures included"
            raise DataError(f"{example.place}: {length}, and this model reads at most {self._context}. Shorten it.")
        return script

    def _written(self, example: ChatExample) -> Script:
        messages = [message(turn) for turn in example.turns]
        whole = pieces([*messages, Message("user", ())])
        last = max(at for at, piece in enumerate(whole) if isinstance(piece, End))
        ids, places = self._words.tokens(whole[: last + 1], self._picture_tokens)
        labels = [IGNORED] * len(ids)
        for start, stop in self._answers(messages, ids):
            labels[start:stop] = ids[start:stop]
        opening = max((start + self._picture_tokens for start, _ in places), default=0)
        return Script(tuple(ids), tuple(labels), pictures(example), opening)

    def _answers(self, messages: Sequence[Message], ids: list[int]) -> Iterator[tuple[int, int]]:
        """From where to where the assistant speaks: behind the prompt that serving makes, up to the mark of the end."""
        for number, each in enumerate(messages):
            if each.role == "assistant":
                prompt, _ = self._words.tokens(pieces(messages[:number]), self._picture_tokens)
                yield len(prompt), next(at for at in range(len(prompt), len(ids)) if ids[at] in self._words.ends) + 1


def message(turn: Told, pictures: Iterator[bytes] | None = None) -> Message:
    """A turn in the service's form; its pictures are the next of `pictures`, or empty where only their places count."""
    parts = (part if isinstance(part, str) else Picture(next(pictures) if pictures else b"") for part in turn.parts)
    return Message(turn.role, tuple(parts), "conversation")
