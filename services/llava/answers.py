"""What was said -> the bodies of `services.llava.completion`, and the frames of a stream.

opening (role) -> delta, delta, ... (text) -> closing (why it ends), for each answer -> usage, if asked for -> DONE
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from services.llava.completion import (
    Alternative,
    Choice,
    Completion,
    Head,
    Logprobs,
    Reason,
    TokenLogprob,
    Tokens,
    Usage,
)
from shared.serving.answers import new_request_id
from shared.serving.model import Identity

DONE = b"data: [DONE]\n\n"
LEAST = -9999.0  # OpenAI's figure for a token that cannot come; JSON knows no infinity
ROLE = b'{"role":"assistant","content":"","refusal":null}'
# Line ends for clients that split decoded text, and not for JSON, which would leave them in the middle of a frame.
LINE_ENDS = {end.encode(): f"\\u{ord(end):04x}".encode() for end in "\u0085\u2028\u2029"}


class Spelling(Protocol):
    """How tokens are written."""

    def text(self, token: int) -> str:
        """The text of a token alone."""

    def raw(self, token: int) -> bytes:
        """Its bytes, which may be a part of a character."""


@dataclass(frozen=True, slots=True)
class Said:
    """One whole answer."""

    text: str
    reason: Reason
    logprobs: Sequence[TokenLogprob] | None = None


def head(identity: Identity) -> Head:
    """The name of a new answer of the weights `identity`."""
    return {
        "id": f"chatcmpl-{new_request_id()}",
        "created": int(time.time()),
        "model": identity.model,
        "system_fingerprint": identity.digest,
    }


def completion(origin: Head, answers: Sequence[Said], used: Usage) -> bytes:
    """The body of an answer that is not streamed."""
    choices: list[Choice] = [
        {
            "index": index,
            "message": {"role": "assistant", "content": answer.text, "refusal": None},
            "logprobs": _logprobs(answer.logprobs),
            "finish_reason": answer.reason,
        }
        for index, answer in enumerate(answers)
    ]
    body: Completion = {**origin, "object": "chat.completion", "choices": choices, "usage": used}
    return orjson.dumps(body)


def usage(*, prompt: int, said: int, cached: int = 0, pictures: int = 0) -> Usage:
    """The tokens of a request: `cached` and `pictures` are parts of `prompt`, `said` are those of all answers."""
    return {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "image_tokens": pictures,
            "text_tokens": prompt - pictures,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprob(token: int, value: float, top: Sequence[tuple[int, float]], words: Spelling) -> TokenLogprob:
    """A token that was said with the log-probability `value`, and the likeliest ones at its place."""
    return {**_alternative(token, value, words), "top_logprobs": [_alternative(*one, words) for one in top]}


def tokens(ids: Sequence[int], *, max_model_len: int, words: Spelling | None = None) -> bytes:
    """The body of an answer of `POST /v1/tokenize`, with the tokens' texts where `words` are given."""
    body: Tokens = {
        "count": len(ids),
        "max_model_len": max_model_len,
        "tokens": list(ids),
        "token_strs": None if words is None else [words.text(token) for token in ids],
    }
    return orjson.dumps(body)


class Chunks:
    """The frames of one stream, whose constant part is serialised once."""

    def __init__(self, origin: Head, *, include_usage: bool) -> None:
        """`include_usage` announces the usage in each frame, as null."""
        self._begin = b"data: " + orjson.dumps({**origin, "object": "chat.completion.chunk"})[:-1]
        self._end = b',"usage":null}\n\n' if include_usage else b"}\n\n"

    def opening(self, index: int = 0) -> bytes:
        """The first frame of an answer."""
        return self._choice(index, ROLE)

    def delta(self, text: str, index: int = 0, logprobs: Sequence[TokenLogprob] | None = None) -> bytes:
        """More text, and the tokens that it comes from where they are asked for."""
        told = b"null" if logprobs is None else _one_line(_logprobs(logprobs))
        return self._choice(index, b'{"content":%b}' % _one_line(text), logprobs=told)

    def closing(self, reason: Reason, index: int = 0) -> bytes:
        """The last frame of an answer."""
        return self._choice(index, b"{}", reason=b'"%b"' % reason.encode())

    def usage(self, used: Usage) -> bytes:
        """The frame after the last answer that counts the tokens."""
        return b'%b,"choices":[],"usage":%b}\n\n' % (self._begin, orjson.dumps(used))

    def _choice(self, index: int, delta: bytes, *, logprobs: bytes = b"null", reason: bytes = b"null") -> bytes:
        return b'%b,"choices":[{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b}]%b' % (
            self._begin, index, delta, logprobs, reason, self._end,
        )  # fmt: skip


def _logprobs(content: Sequence[TokenLogprob] | None) -> Logprobs | None:
    return None if content is None else {"content": list(content), "refusal": None}


def _alternative(token: int, value: float, words: Spelling) -> Alternative:
    return {"token": words.text(token), "bytes": list(words.raw(token)), "logprob": max(value, LEAST)}


def _one_line(value: object) -> bytes:
    """`value` as JSON without line ends of any kind."""
    text = orjson.dumps(value)
    if not text.isascii():
        for end, escaped in LINE_ENDS.items():
            text = text.replace(end, escaped)
    return text
