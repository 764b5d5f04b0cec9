"""Bodies and frames, as the stock client's own types read them."""

from collections.abc import Sequence

import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from services.llava import answers
from services.llava.answers import DONE, Chunks, Said
from services.llava.completion import Head, TokenLogprob
from shared.serving.model import Identity

DIGEST = "sha256:" + "a" * 64


class Letters:
    """A vocabulary of bytes."""

    def text(self, token: int) -> str:
        return self.raw(token).decode(errors="replace")

    def raw(self, token: int) -> bytes:
        return bytes([token])


@pytest.fixture
def head() -> Head:
    return answers.head(Identity("llava", "v1", DIGEST))


def told(text: bytes = b"a") -> Sequence[TokenLogprob]:
    return [answers.logprob(token, -0.5, [(token, -0.5), (0xC3, -float("inf"))], Letters()) for token in text]


def chunk(frame: bytes) -> ChatCompletionChunk:
    """What the stock client makes of a frame; strictly, unlike it, which takes anything."""
    assert frame.startswith(b"data: {") and frame.endswith(b"}\n\n")
    return ChatCompletionChunk.model_validate_json(frame[len(b"data: ") :], strict=True)


def test_a_whole_answer_is_openai_s(head: Head) -> None:
    said = [Said("a red circle", "stop"), Said("a", "length", told())]
    used = answers.usage(prompt=600, said=5, cached=16, pictures=576)
    body = answers.completion(head, said, used)
    read = ChatCompletion.model_validate_json(body, strict=True)
    assert read.id.startswith("chatcmpl-") and read.model == "llava" and read.system_fingerprint == DIGEST
    assert [(c.index, c.message.role, c.message.content, c.finish_reason) for c in read.choices] == [
        (0, "assistant", "a red circle", "stop"),
        (1, "assistant", "a", "length"),
    ]
    assert read.choices[0].logprobs is None
    assert b'"refusal":null' in body


def test_usage_adds_up(head: Head) -> None:
    used = answers.usage(prompt=600, said=5, cached=16, pictures=576)
    read = ChatCompletion.model_validate_json(answers.completion(head, [Said("a", "stop")], used)).usage
    assert read is not None and read.prompt_tokens_details is not None and read.completion_tokens_details is not None
    assert (read.prompt_tokens, read.completion_tokens, read.total_tokens) == (600, 5, 605)
    prompt, completion = read.prompt_tokens_details, read.completion_tokens_details
    assert (prompt.cached_tokens, prompt.image_tokens, prompt.text_tokens) == (16, 576, 24)
    assert set(completion.model_dump(exclude_none=True).values()) == {0}


def test_logprobs_tell_bytes_of_parts_of_characters(head: Head) -> None:
    body = answers.completion(head, [Said("ä", "stop", told("ä".encode()))], answers.usage(prompt=1, said=2))
    logprobs = ChatCompletion.model_validate_json(body, strict=True).choices[0].logprobs
    assert logprobs is not None and logprobs.content is not None
    assert bytes(byte for token in logprobs.content for byte in token.bytes or []).decode() == "ä"
    assert [(top.bytes, top.logprob) for top in logprobs.content[0].top_logprobs] == [([0xC3], -0.5), ([0xC3], -9999.0)]


@pytest.mark.parametrize("include_usage", [False, True])
def test_a_stream_is_openai_s_frame_by_frame(head: Head, include_usage: bool) -> None:
    chunks = Chunks(head, include_usage=include_usage)
    frames = [chunks.opening(1), chunks.delta("a ", 1), chunks.delta("red", 1, told()), chunks.closing("length", 1)]
    read = [chunk(frame) for frame in frames]
    assert {(c.id, c.created, c.model, c.system_fingerprint) for c in read} == {
        (head["id"], head["created"], "llava", DIGEST)
    }
    choices = [c.choices[0] for c in read]
    assert [choice.index for choice in choices] == [1] * 4
    assert [choice.delta.role for choice in choices] == ["assistant", None, None, None]
    assert [choice.delta.content for choice in choices] == ["", "a ", "red", None]
    assert [choice.finish_reason for choice in choices] == [None, None, None, "length"]
    assert [choice.logprobs is None for choice in choices] == [True, True, False, True]
    assert [b'"usage":null' in frame for frame in frames] == [include_usage] * 4
    assert orjson.loads(frames[3][6:])["choices"][0]["delta"] == {}


def test_usage_comes_last_and_without_a_choice(head: Head) -> None:
    read = chunk(Chunks(head, include_usage=True).usage(answers.usage(prompt=7, said=3)))
    assert read.choices == [] and read.usage is not None and read.usage.total_tokens == 10
    assert DONE == b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    "text", ['"\\', "\n\r\n", "\u2028 \u2029 \u0085", "Größe 円 🔴", "data: [DONE]\n\n", "\x0b\x1c"]
)
def test_no_text_breaks_a_frame(head: Head, text: str) -> None:
    frame = Chunks(head, include_usage=False).delta(text)
    assert chunk(frame).choices[0].delta.content == text
    assert len(frame.decode().splitlines()) == 2  # the frame and its empty line, for whatever splits lines


def test_tokens_are_told_with_their_texts_where_wished() -> None:
    plain = orjson.loads(answers.tokens([72, 105], max_model_len=2048))
    assert plain == {"count": 2, "max_model_len": 2048, "tokens": [72, 105], "token_strs": None}
    assert orjson.loads(answers.tokens([72, 105], max_model_len=9, words=Letters()))["token_strs"] == ["H", "i"]
