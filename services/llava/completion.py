"""The wire contract of chat: the answers, in OpenAI's shapes. Plain dicts, as they are made at every token."""

from typing import Literal

from typing_extensions import TypedDict

Reason = Literal["stop", "length"]


class Alternative(TypedDict):
    """A token, its bytes (it may be a part of a character) and its log-probability."""

    token: str
    bytes: list[int]
    logprob: float


class TokenLogprob(Alternative):
    """A token that was said, and the likeliest ones at its place."""

    top_logprobs: list[Alternative]


class Logprobs(TypedDict):
    """The log-probabilities of an answer's tokens."""

    content: list[TokenLogprob]
    refusal: None


class AnswerMessage(TypedDict):
    """What the model said."""

    role: Literal["assistant"]
    content: str
    refusal: None


class Choice(TypedDict):
    """One answer and why it ends."""

    index: int
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: Reason


class PromptDetails(TypedDict):
    """Of the tokens of the prompt: how many were remembered, and how many stand for pictures."""

    cached_tokens: int
    image_tokens: int
    text_tokens: int
    audio_tokens: int


class CompletionDetails(TypedDict):
    """What this model never does, as clients look for it."""

    reasoning_tokens: int
    audio_tokens: int
    accepted_prediction_tokens: int
    rejected_prediction_tokens: int


class Usage(TypedDict):
    """The tokens of a request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails


class Head(TypedDict):
    """What is the same in all parts of an answer; the fingerprint is the digest of the weights."""

    id: str
    created: int
    model: str
    system_fingerprint: str


class Completion(Head):
    """The answer of `POST /v1/chat/completions` that is not streamed."""

    object: Literal["chat.completion"]
    choices: list[Choice]
    usage: Usage


class Tokens(TypedDict):
    """The answer of `POST /v1/tokenize`."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None
