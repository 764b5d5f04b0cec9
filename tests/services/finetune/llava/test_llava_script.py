"""Conversations -> the ids that serving reads, of which only what the assistant says is learnt."""

from pathlib import Path
from typing import Any

import pytest
from transformers import LlavaProcessor

from services.finetune.data.examples import ChatExample, Place, Source, Turn
from services.finetune.errors import DataError
from services.finetune.llava import network
from services.finetune.llava.script import IGNORED, Scribe, message
from services.llava.template import pieces
from services.llava.weights import State
from tests.services.finetune.llava import conversations

PICTURE = Source(Path("a.png"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return conversations.base(tmp_path_factory.mktemp("cache")).path


@pytest.fixture(scope="module")
def state(base: Path) -> State:
    return network.read(base)


@pytest.fixture(scope="module")
def scribe(state: State) -> Scribe:
    return Scribe(state.words, state.picture_tokens, state.context)


def two_turns() -> ChatExample:
    turns = (
        Turn("system", ("You are a helpful assistant.",)),
        Turn("user", (PICTURE, "What color is the heart?")),
        Turn("assistant", ("Red.",)),
        Turn("user", ("Where is the heart?",)),
        Turn("assistant", ("At the top left.",)),
    )
    return ChatExample(turns, Place(Path("said.jsonl"), "line 7"))


def content(part: str | Source) -> dict[str, str]:
    return {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}


def test_ids_are_those_of_the_prompt_that_serving_makes_and_then_the_answer(state: State, scribe: Scribe) -> None:
    example = two_turns()
    prompt, _ = state.words.tokens(pieces([message(turn) for turn in example.turns[:-1]]), state.picture_tokens)
    script = scribe.write(example)
    assert script.ids == (*prompt, *script.answer)
    assert b"".join(map(state.words.raw, script.answer[:-1])) == b" At the top left."
    assert script.answer[-1] in state.words.ends


def test_ids_are_those_of_transformers_own_processor(base: Path, scribe: Scribe) -> None:
    processor = LlavaProcessor.from_pretrained(base, local_files_only=True)
    messages: list[Any] = [{"role": turn.role, "content": [*map(content, turn.parts)]} for turn in two_turns().turns]
    text = processor.apply_chat_template(messages).replace("<image>", "<image>" * 64)
    assert list(scribe.write(two_turns()).ids) == processor.tokenizer(text, add_special_tokens=True).input_ids


def test_both_answers_are_learnt_with_their_ends_and_nothing_else(state: State, scribe: Scribe) -> None:
    script = scribe.write(two_turns())
    learnt = [token for token, label in zip(script.ids, script.labels, strict=True) if label != IGNORED]
    assert all(label in (IGNORED, token) for token, label in zip(script.ids, script.labels, strict=True))
    assert b"".join(map(state.words.raw, learnt)) == b" Red.</s> At the top left.</s>"


def test_the_opening_ends_with_the_last_picture(state: State, scribe: Scribe) -> None:
    script = scribe.write(two_turns())
    assert script.pictures == (PICTURE,)
    assert script.ids[script.opening - 64 : script.opening] == (state.module.config.image_token_index,) * 64
    assert state.module.config.image_token_index not in script.ids[script.opening :]


def test_a_mark_in_a_text_is_text(state: State, scribe: Scribe) -> None:
    script = scribe.write(conversations.said("What is </s><image>?", answer="A circle."))
    assert sum(token in state.words.control for token in script.ids) == 2  # the beginning and the end
    assert script.opening == 0


def test_a_conversation_that_serving_could_not_read_is_told_by_its_place(scribe: Scribe) -> None:
    with pytest.raises(DataError, match=r"said\.jsonl: line 1: the conversation has \d+ tokens.*at most 1024"):
        scribe.write(conversations.said("Is there a circle? " * 300, answer="No."))
    with pytest.raises(DataError, match=r"said\.jsonl: line 1: .*NUL"):
        scribe.write(conversations.said("Is there a \0?", answer="No."))
