"""LLaVA as the serving core sees it.

read        version directory -> network, words and image path in host memory
use         onto the device, with memory of its own
preprocess  conversation -> token ids, pictures -> pixels; lengths and grammars are checked here
admit       a sequence for each answer
step        one step of everybody (read `scheduler.py` first)
"""

import io
import secrets
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, cast

from PIL import Image

from services.llava import weights
from services.llava.chat import Message, Picture, Talk
from services.llava.completion import Reason
from services.llava.grammar import Grammar, compile_grammar
from services.llava.prompt import Digest, Prompt, Span
from services.llava.sampling import Choice
from services.llava.scheduler import LATE
from services.llava.sequence import Sequence as Row
from services.llava.serving import Room, Serving
from services.llava.speaker import Said
from services.llava.template import pieces
from services.llava.weights import State
from services.llava.words import Words
from shared.accel.errors import classify
from shared.accel.on_device import DeviceModel
from shared.accel.pixels import prepare
from shared.errors import DeadlineExceeded, InvalidRequest, OcelliError, OutOfMemory
from shared.serving.model import Case, DeviceOutOfMemory, RefusedWeights
from shared.serving.stream import Load, Outcome, Stream, StreamModel

__all__ = ["Llava", "Piece", "Talk"]


@dataclass(frozen=True, slots=True)
class Features:
    """A conversation ready to be read: its tokens and pixels."""

    talk: Talk
    prompt: Prompt
    limit: int
    grammar: Grammar | None


@dataclass(frozen=True, slots=True)
class Piece:
    """What one answer of a request said in one step: a token, and why it was the last one, if it was."""

    index: int
    choice: Choice
    end: Reason | None
    row: Row
    words: Words


@dataclass(slots=True, eq=False)
class Owner:
    """A request among the sequences: its stream, and how many of its answers are not complete."""

    stream: Stream
    left: int


class Llava(DeviceModel[Talk, Features, Sequence[int], State], StreamModel[Talk, Features, Sequence[int], State]):
    """A LLaVA of any size that answers many conversations at once."""

    room = Room()
    _in_use: Serving | None = None

    @classmethod
    def within(cls, room: Room) -> type[Self]:
        """This class with another `room`."""
        return type(cls.__name__, (cls,), {"room": room})

    @property
    def serving(self) -> Serving:
        """The weights in use."""
        if self._in_use is None:
            raise RefusedWeights("This LLaVA has no weights yet.")
        return self._in_use

    def read(self, path: Path) -> State:
        """Read a verified version directory into host memory. Raises `RefusedWeights`."""
        return weights.read(path, self.dtype)

    def use(self, state: State) -> None:
        """Move `state` to the device and answer from it."""
        # Not `self.classify`, which would close a circle: weights must go as soon as nobody holds them.
        self._in_use = Serving(state, self.room, self.device, judge=classify)

    def preprocess(self, item: Talk) -> Features:
        """Tokenise the conversation, decode its pictures, compile its grammar. Raises an `OcelliError` (4xx)."""
        state = self.serving.state
        tokens, places = state.words.tokens(pieces(item.messages), state.picture_tokens)
        room = self.room.context_of(state) - len(tokens)
        if room < 1:
            raise self._too_long(state, len(tokens), len(places))
        digests = [blake2b(picture.data, digest_size=16).digest() for _, picture in places]
        pixels: dict[Digest, Any] = {}
        for digest, (_, picture) in zip(digests, places, strict=True):
            if digest not in pixels:
                pixels[digest] = prepare(picture.data, state.pixels, self.limits, field=picture.field)
        spans = [Span(start, state.picture_tokens, each) for each, (start, _) in zip(digests, places, strict=True)]
        prompt = Prompt(tuple(tokens), tuple(spans), pixels, item.salt.encode())
        grammar = None if item.grammar is None else compile_grammar(item.grammar, state.words)
        limit = min(item.limit or state.defaults.max_tokens, self.room.answer, room)
        return Features(item, prompt, limit, grammar)

    def _too_long(self, state: State, tokens: int, pictures: int) -> InvalidRequest:
        shown = f", {pictures * state.picture_tokens} of them for {pictures} pictures," if pictures else ""
        most = self.room.context_of(state)
        return InvalidRequest(
            f"The conversation has {tokens} tokens{shown} and this model reads at most {most}, its answer included. "
            "Shorten it.",
            code="context_length_exceeded",
            param="messages",
        )

    def admit(self, features: Features, stream: Stream) -> None:
        """Let a sequence wait for each answer of a request."""
        serving = self.serving
        owner = Owner(stream, features.talk.answers)
        for index in range(features.talk.answers):
            row = self._row(features, index)
            row.wanted, row.deadline, row.owner = stream.wanted, stream.deadline, owner
            serving.indices[row] = index
            serving.speaker.scheduler.add(row)

    def _row(self, features: Features, index: int) -> Row:
        how = features.talk.sampling
        seed = secrets.randbits(63) if how.seed is None else how.seed + index
        constraint = features.grammar.start() if features.grammar else None
        sampling = replace(how, seed=seed, constraint=constraint)
        return Row(features.prompt, features.limit, self.serving.state.words.ends, sampling=sampling)

    @property
    def busy(self) -> bool:
        """Whether anybody speaks or waits."""
        return self.serving.busy

    @property
    def load(self) -> Load:
        """Who speaks, who waits, and how much of the memory for keys and values is in use."""
        scheduler = self.serving.speaker.scheduler
        return Load(len(scheduler.running), len(scheduler.waiting), scheduler.blocks.used / scheduler.blocks.count)

    def step(self) -> Iterable[Outcome]:
        """One step of everybody. Raises `DeviceLost`."""
        for said in self.serving.speaker.step():
            yield self._outcome(self.serving, said)

    def _outcome(self, serving: Serving, said: Said) -> Outcome:
        serving.meters.count(said)
        owner: Owner = said.row.owner
        index = serving.indices[said.row]
        if said.end is not None:
            del serving.indices[said.row]
            owner.left -= 1
        if said.choice is None:
            error = _verdict(said)
            return owner.stream, None, error is not None or owner.left == 0, error
        end = cast("Reason | None", said.end)  # why an answer with a last token ends, is one of both
        return owner.stream, Piece(index, said.choice, end, said.row, serving.state.words), owner.left == 0, None

    def predict(self, batch: Sequence[Features]) -> Sequence[Sequence[int]]:
        """The whole answers to a batch, apart from everybody else."""
        steps = self.rehearse(batch)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                answers: Sequence[Sequence[int]] = end.value
                return answers

    def rehearse(self, batch: Sequence[Features]) -> Generator[None, None, Sequence[Sequence[int]]]:
        """The same step by step: for golden cases and warm-up, between which others speak."""
        longest = max(len(one.prompt.tokens) + one.limit for one in batch)
        speaker = self.serving.apart(rows=len(batch), tokens=longest)
        rows = [self._row(one, 0) for one in batch]
        for row in rows:
            speaker.scheduler.add(row)
        while speaker.scheduler.busy:
            for said in speaker.step():
                if said.error:
                    raise said.error
            yield
        return [row.tokens[len(row.prompt.tokens) :] for row in rows]

    def cost(self, features: Features) -> int:
        """Tokens of the prompt."""
        return len(features.prompt.tokens)

    def example(self) -> Talk:
        """A question about a grey picture of 640 x 480, answered with one token."""
        file = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(file, "PNG")
        return Talk((Message("user", (Picture(file.getvalue()), "a")),), limit=1)

    def golden(self) -> Sequence[Case[Talk, Sequence[int]]]:
        """The golden cases of the weights in use."""
        return self.serving.state.golden

    def describe(self) -> Mapping[str, Any]:
        """Capabilities, lengths, device and number type of the weights in use."""
        serving = self.serving
        return {
            "capabilities": ["chat", "vision"],
            "max_model_len": self.room.context_of(serving.state),
            "image_tokens": serving.state.picture_tokens,
            "defaults": serving.state.defaults.model_dump(),
            "device": str(self.device),
            "dtype": str(serving.network.embeddings.dtype).removeprefix("torch."),
        }


def _verdict(said: Said) -> OcelliError | None:
    """What a caller is told whose answer ended without a token; nothing, where nobody listens."""
    if said.error is None:
        return DeadlineExceeded() if said.end == LATE else None
    if isinstance(said.error, OcelliError):
        return said.error
    if isinstance(said.error, DeviceOutOfMemory):
        return OutOfMemory()
    return OcelliError("The model failed on this request. Those beside it were answered.", code="model_failed")
