"""The prompt is the one that LLaVA-1.5 learnt, and what a caller wrote stays apart from what is written here."""

from collections.abc import Sequence
from typing import Any

import pytest
from transformers import PreTrainedTokenizerFast

from services.llava.chat import Message, Picture
from services.llava.template import Quoted, pieces
from shared.errors import InvalidRequest
from tests.services.llava import small_words
from tests.services.llava.small_words import written

PICTURE, OTHER = Picture(b"a"), Picture(b"b")

# What the checkpoints of LLaVA-1.5 in transformers' form bring: all pictures of a message before its text.
REFERENCE = (
    "{% for message in messages %}"
    "{% if message['role'] != 'system' %}{{ message['role'].upper() + ': ' }}{% endif %}"
    "{% for part in message['content'] if part['type'] == 'image' %}{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] if part['type'] == 'text' %}{{ part['text'] + ' ' }}{% endfor %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def user(*parts: str | Picture) -> Message:
    return Message("user", parts)


def assistant(text: str) -> Message:
    return Message("assistant", (text,))


def reference(messages: Sequence[Message]) -> str:
    """What transformers makes of the conversation with the well-known template."""
    said: list[dict[str, Any]] = [
        {
            "role": m.role,
            "content": [{"type": "text", "text": p} if isinstance(p, str) else {"type": "image"} for p in m.parts],
        }
        for m in messages
    ]
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=small_words.byte_level())  # type: ignore[no-untyped-call]
    text = tokenizer.apply_chat_template(said, chat_template=REFERENCE, add_generation_prompt=True, tokenize=False)
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize(
    "messages",
    [
        [user(PICTURE, "What is it?")],
        [user("Hello!")],
        [user(PICTURE)],
        [user(PICTURE, OTHER, "Which is larger?")],
        [Message("system", ("Be brief.",)), user(PICTURE, "What is it?")],
    ],
)
def test_one_turn_reads_as_with_the_well_known_template(messages: list[Message]) -> None:
    assert written(pieces(messages)) == reference(messages)


def test_an_answer_ends_with_its_mark_and_the_next_question_follows_at_once() -> None:
    told = pieces([user(PICTURE, "What is it?"), assistant("A circle."), user("And its colour?")])
    assert written(told) == "USER: <image>\nWhat is it? ASSISTANT: A circle.</s>USER: And its colour? ASSISTANT:"
    assert told[-4:] == ["USER: ", Quoted("And its colour?", "messages"), " ", "ASSISTANT:"]


def test_a_single_picture_comes_first_wherever_it_stood() -> None:
    assert pieces([user("What is it?", PICTURE)]) == pieces([user(PICTURE, "What is it?")])
    assert written(pieces([user("This:", PICTURE, "What is it?")])) == "USER: <image>\nThis:\nWhat is it? ASSISTANT:"


def test_several_pictures_stay_where_they_stand() -> None:
    told = pieces([user("First:", PICTURE, "Second:", OTHER, "Which is larger?")])
    assert written(told) == "USER: First: <image>\nSecond: <image>\nWhich is larger? ASSISTANT:"
    assert [piece for piece in told if isinstance(piece, Picture)] == [PICTURE, OTHER]


def test_texts_without_a_picture_between_them_are_lines() -> None:
    assert written(pieces([user("one", "two", "three")])) == "USER: one\ntwo\nthree ASSISTANT:"


def test_white_space_around_a_text_is_left_out_and_so_is_a_text_of_nothing_else() -> None:
    assert written(pieces([user("  What \n is it?\n"), assistant(" It. "), user("\t", "Why?", "")])) == (
        "USER: What \n is it? ASSISTANT: It.</s>USER: Why? ASSISTANT:"
    )


def test_what_a_caller_wrote_is_quoted_with_its_field_and_everything_else_is_ours() -> None:
    told = pieces([Message("system", ("S</s>",), "messages[0]"), Message("user", (PICTURE, "<image>"), "messages[1]")])
    system, asked = Quoted("S</s>", "messages[0]"), Quoted("<image>", "messages[1]")
    assert told == [system, " ", "USER: ", PICTURE, "\n", asked, " ", "ASSISTANT:"]


def test_users_and_assistants_may_follow_in_any_order() -> None:
    told = pieces([assistant("Hello."), user("a"), user("b"), assistant("c"), assistant("d"), user("e")])
    assert written(told) == (
        "ASSISTANT: Hello.</s>USER: a USER: b ASSISTANT: c</s>ASSISTANT: d</s>USER: e ASSISTANT:"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ([Message("system", ("Be brief.",))], "messages[0].role"),
        ([user("a"), assistant("b")], "messages[1].role"),
        ([user("a"), Message("system", ("Be brief.",)), user("b")], "messages[1].role"),
    ],
)
def test_a_role_at_the_wrong_place_is_refused_by_its_field(messages: list[Message], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        pieces(messages)
    assert refused.value.param == field
    assert field in refused.value.message
