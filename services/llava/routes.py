"""HTTP in, HTTP out: `POST /v1/chat/completions` and `POST /v1/tokenize`.

chat -> request -> conversation -> stream of pieces -> deltas -> one body, or events as they come
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.llava import answers
from services.llava.answers import DONE, Chunks, Said
from services.llava.chat import Talk
from services.llava.completion import Completion, TokenLogprob, Tokens
from services.llava.model import Llava
from services.llava.reading import to_prompt, to_talk
from services.llava.schemas import ChatRequest, TokenizeRequest
from services.llava.speech import Delta, Speech
from services.llava.template import Quoted, pieces
from shared.errors import (
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from shared.serving.app import DirectRoute, deadline_of, responses, service_of, stream_headers
from shared.serving.documentation import json_request
from shared.serving.engine import Engine
from shared.serving.model import Weights
from shared.serving.reading import read_json
from shared.serving.sse import EventStream
from shared.settings import Limits

ERRORS = (InvalidImage, ModelNotFound, TooLarge, UnsupportedMedia, Unavailable, DeadlineExceeded)

direct = APIRouter(tags=["chat"], route_class=DirectRoute)


@direct.post(
    "/v1/chat/completions",
    summary="Talk about pictures",
    openapi_extra=json_request(ChatRequest),
    responses=responses(Completion, *ERRORS),
)
async def chat(request: Request) -> Response:
    """An answer to a conversation with pictures and text, in the shape of OpenAI's API; `stream` tells it as it comes.

    `system_fingerprint` is the digest of the weights that answer.
    """
    service = service_of(request)
    deadline = deadline_of(request, service)
    wish = await read_json(request, service, ChatRequest)
    weights = service.weights(service.pick(wish.model))
    talk = await service.running.pool.run(talk_of, wish, service.settings.limits, weights.model)
    asked = Asked(service.running, weights, talk, tuple(wish.stop), deadline)
    if not wish.stream:
        return await whole(asked)
    counted = wish.stream_options is not None and wish.stream_options.include_usage
    frames = told(asked, include_usage=counted)
    return await EventStream.open(frames, headers=lambda: stream_headers(asked.speech.stream))


@direct.post(
    "/v1/tokenize",
    summary="Count tokens",
    openapi_extra=json_request(TokenizeRequest),
    responses=responses(Tokens, *ERRORS),
)
async def tokenize(request: Request) -> Response:
    """The tokens of a conversation as the model reads it, those of pictures included, or of a text alone."""
    service = service_of(request)
    wish = await read_json(request, service, TokenizeRequest)
    model: Llava = service.weights(service.pick(wish.model)).model
    state = model.serving.state
    prompt = await service.running.pool.run(to_prompt, wish, service.settings.limits)
    parts = [Quoted(prompt, "prompt")] if isinstance(prompt, str) else pieces(prompt)
    ids, _ = await service.running.pool.run(state.words.tokens, parts, state.picture_tokens)
    words = state.words if wish.return_token_strs else None
    body = answers.tokens(ids, max_model_len=model.room.context_of(state), words=words)
    return Response(body, media_type="application/json")


def talk_of(wish: ChatRequest, limits: Limits, model: Llava) -> Talk:
    """What the request asks of `model`. Raises an `OcelliError` (4xx) that names the field."""
    state = model.serving.state
    talk = to_talk(wish, limits, temperature=state.defaults.temperature)
    if talk.limit is not None and talk.limit > model.room.answer:
        name = "max_completion_tokens" if wish.max_completion_tokens else "max_tokens"
        raise InvalidRequest(f"'{name}' may be at most {model.room.answer}.", param=name)
    if any(token >= state.words.size for token in talk.sampling.logit_bias):
        raise InvalidRequest(f"'logit_bias' names a token over {state.words.size - 1}.", param="logit_bias")
    return talk


@dataclass(slots=True)
class Asked:
    """One request on its way to its answers."""

    engine: Engine
    weights: Weights
    talk: Talk
    stops: tuple[str, ...]
    deadline: float
    speech: Speech = field(init=False)

    async def deltas(self) -> AsyncGenerator[list[Delta], None]:
        """All that the answers say. Leaving early ends them within a step."""
        name = self.weights.identity.model
        async with self.engine.open(name, self.talk, deadline=self.deadline, weights=self.weights) as stream:
            logprobs = self.talk.sampling.logprobs is not None
            self.speech = Speech(stream, stops=self.stops, answers=self.talk.answers, logprobs=logprobs)
            try:
                async for fresh in self.speech.deltas():
                    yield list(fresh)
            finally:
                stream.counts = self.speech.counts

    @property
    def head(self) -> Any:
        """What all parts of the answer begin with."""
        return answers.head(self.weights.identity)


async def whole(asked: Asked) -> Response:
    """All answers in one body."""
    texts: list[list[str]] = [[] for _ in range(asked.talk.answers)]
    logprobs: list[list[TokenLogprob]] = [[] for _ in texts]
    reasons: dict[int, Any] = {}
    async for fresh in asked.deltas():
        for delta in fresh:
            texts[delta.index].append(delta.text)
            logprobs[delta.index] += delta.logprobs or ()
            reasons[delta.index] = delta.reason
    wanted = asked.talk.sampling.logprobs is not None
    said = [
        Said("".join(text), reasons[index], logprobs[index] if wanted else None) for index, text in enumerate(texts)
    ]
    body = answers.completion(asked.head, said, asked.speech.usage)
    return Response(body, media_type="application/json", headers=stream_headers(asked.speech.stream))


async def told(asked: Asked, *, include_usage: bool) -> AsyncGenerator[bytes, None]:
    """The frames of the answers; the first one comes with the first word."""
    chunks: Chunks | None = None
    async with aclosing(asked.deltas()) as deltas:
        async for fresh in deltas:
            frames = []
            if chunks is None:
                chunks = Chunks(asked.head, include_usage=include_usage)
                frames = [chunks.opening(index) for index in range(asked.talk.answers)]
            yield b"".join([*frames, *(frame for delta in fresh for frame in _frames(chunks, delta))])
    assert chunks is not None
    yield (chunks.usage(asked.speech.usage) if include_usage else b"") + DONE


def _frames(chunks: Chunks, delta: Delta) -> list[bytes]:
    frames = []
    if delta.text or delta.logprobs:
        frames.append(chunks.delta(delta.text, delta.index, delta.logprobs))
    if delta.reason:
        frames.append(chunks.closing(delta.reason, delta.index))
    return frames
