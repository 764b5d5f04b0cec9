"""What the answers of one request say, as text: tokens in, text and reasons out.

pieces -> text of each answer, as far as no stop string may begin in it -> deltas -> the end of all answers
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from services.llava.answers import logprob, usage
from services.llava.completion import Reason, TokenLogprob, Usage
from services.llava.model import Piece
from services.llava.sequence import Sequence as Row
from services.llava.telling import Telling
from services.llava.words import Words
from shared.serving.stream import Stream


@dataclass(frozen=True, slots=True)
class Delta:
    """More of one answer: text, the tokens that it comes from where they are asked for, and why it ends, if it does."""

    index: int
    text: str
    logprobs: Sequence[TokenLogprob] | None
    reason: Reason | None


class Speech:
    """The answers of one request on their way."""

    def __init__(self, stream: Stream, *, stops: Sequence[str], answers: int, logprobs: bool) -> None:
        self.stream = stream
        self._stops, self._logprobs = stops, logprobs
        self._tellings: dict[int, Telling] = {}
        self._open = set(range(answers))
        self._said = 0
        self._row: Row | None = None

    async def deltas(self) -> AsyncIterator[Sequence[Delta]]:
        """What is new, until every answer has its end. Raises what ends the stream."""
        async for pieces in self.stream.pieces():
            fresh = [delta for piece in pieces if piece.index in self._open and (delta := self._hear(piece))]
            if fresh:
                yield fresh
            if not self._open:
                self.stream.end()  # a stop string is no end that the model knows of
                return

    @property
    def usage(self) -> Usage:
        """The tokens of prompt and answers; those of the answers as far as they were heard."""
        row = self._row
        if row is None:
            return usage(prompt=0, said=0)
        pictures = sum(span.length for span in row.prompt.spans)
        return usage(prompt=len(row.prompt.tokens), said=self._said, cached=row.reused, pictures=pictures)

    @property
    def counts(self) -> Mapping[str, str | int]:
        """The same by the names of OpenTelemetry's conventions for generative models."""
        used = self.usage
        return {
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": self.stream.identity.model,
            "gen_ai.usage.input_tokens": used["prompt_tokens"],
            "gen_ai.usage.output_tokens": used["completion_tokens"],
            "gen_ai.usage.cache_read.input_tokens": used["prompt_tokens_details"]["cached_tokens"],
        }

    def _hear(self, piece: Piece) -> Delta | None:
        self._said += 1
        if self._row is None or piece.index == 0:
            self._row = piece.row
        words = piece.words
        telling = self._tellings.setdefault(piece.index, Telling(words, self._stops))
        text = telling.feed(piece.choice.token)
        reason = self._reason(piece, telling)
        if reason:
            self._open.discard(piece.index)
            text += "" if telling.stopped else telling.finish()
        told = self._told(piece, words)
        return Delta(piece.index, text, told, reason) if text or told or reason else None

    def _reason(self, piece: Piece, telling: Telling) -> Reason | None:
        if telling.stopped:
            piece.row.wanted = _never  # the others of this request go on
            return "stop"
        return piece.end

    def _told(self, piece: Piece, words: Words) -> list[TokenLogprob] | None:
        choice = piece.choice
        if not self._logprobs or choice.logprob is None:
            return None
        marks = choice.token in words.control
        return [] if marks else [logprob(choice.token, choice.logprob, choice.top, words)]


def _never() -> bool:
    return False
