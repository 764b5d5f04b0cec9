"""What a chat request may say: each field, each wrong value, and what becomes of the right ones."""

import base64
from typing import Any

import orjson
import pytest

from services.llava.chat import Message, Picture, Talk
from services.llava.reading import to_prompt, to_talk
from services.llava.schemas import ChatRequest, TokenizeRequest
from shared import strict_json
from shared.errors import InvalidRequest, OcelliError, TooLarge
from shared.serving.validation import parse
from shared.settings import Limits

HELLO = [{"role": "user", "content": "Hello"}]
BYTES = b"\x89PNG\r\n\x1a\n of a picture"
BASE64 = base64.b64encode(BYTES).decode()
DATA_URI = f"data:image/png;base64,{BASE64}"


def picture(url: Any = DATA_URI, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def text(content: Any) -> dict[str, Any]:
    return {"type": "text", "text": content}


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def talk(limits: Limits | None = None, **fields: Any) -> Talk:
    """`fields` as they would arrive, as a talk."""
    sent = strict_json.loads(orjson.dumps({"messages": HELLO, **fields}), depth=32)
    return to_talk(parse(ChatRequest, sent, strict=True), limits or Limits())


def refused(limits: Limits | None = None, **fields: Any) -> OcelliError:
    with pytest.raises(OcelliError) as caught:
        talk(limits, **fields)
    assert caught.value.status in {400, 413}
    return caught.value


def test_a_plain_question_has_openai_s_defaults() -> None:
    asked = talk()
    assert asked.messages == (Message("user", ("Hello",), "messages[0]"),)
    how = asked.sampling
    assert (how.temperature, how.top_p, how.top_k, how.repetition_penalty) == (1, 1, 0, 1)
    assert not how.adjusts
    assert (how.logprobs, how.seed, asked.limit, asked.answers, asked.grammar, asked.salt) == (
        None, None, None, 1, None, "",
    )  # fmt: skip


def test_the_model_s_own_temperature_is_taken_where_the_request_has_none() -> None:
    request = ChatRequest.model_validate({"messages": HELLO})
    assert to_talk(request, Limits(), temperature=0.2).sampling.temperature == 0.2
    cold = ChatRequest.model_validate({"messages": HELLO, "temperature": 0})
    assert to_talk(cold, Limits(), temperature=0.2).sampling.temperature == 0


def test_all_that_shapes_an_answer_arrives() -> None:
    asked = talk(
        temperature=0.5, top_p=0.9, top_k=40, repetition_penalty=1.1, frequency_penalty=-1, presence_penalty=2,
        seed=-(2**63), logprobs=True, top_logprobs=5, logit_bias={"7": -100, "12": 0.5},
        max_completion_tokens=9, n=4, cache_salt="mine",
    )  # fmt: skip
    how = asked.sampling
    assert (how.temperature, how.top_p, how.top_k, how.repetition_penalty) == (0.5, 0.9, 40, 1.1)
    assert (how.frequency_penalty, how.presence_penalty, how.seed, how.logprobs) == (-1, 2, -(2**63), 5)
    assert how.logit_bias == {7: -100, 12: 0.5}
    assert (asked.limit, asked.answers, asked.salt) == (9, 4, "mine")


def test_null_is_as_good_as_unset() -> None:
    names = [name for name in ChatRequest.model_fields if name != "messages"]
    assert repr(talk(**dict.fromkeys(names)).sampling.temperature) == "1.0"
    assert refused(messages=None).code == "missing_field"


def test_pictures_and_texts_keep_their_order_and_their_fields() -> None:
    parts = talk(**user(text("a"), picture(detail="low"), text("b"), picture(BASE64))).messages[0].parts
    assert parts == (
        "a", Picture(BYTES, "messages[0].content[1].image_url.url"),
        "b", Picture(BYTES, "messages[0].content[3].image_url.url"),
    )  # fmt: skip


def test_a_developer_speaks_as_the_system_and_an_answer_can_be_sent_back() -> None:
    turns = [
        {"role": "developer", "content": [text("Be brief.")]},
        {"role": "user", "content": "Hi", "name": "ann"},
        {"role": "assistant", "content": "Yes?", "refusal": None, "tool_calls": None, "annotations": [], "audio": None},
        {"role": "user", "content": ""},
    ]
    assert [(turn.role, turn.parts) for turn in talk(messages=turns).messages] == [
        ("system", ("Be brief.",)),
        ("user", ("Hi",)),
        ("assistant", ("Yes?",)),
        ("user", ("",)),
    ]


@pytest.mark.parametrize(
    ("wanted", "grammar"),
    [
        (None, None),
        ({"type": "text"}, None),
        ({"type": "json_object"}, {}),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}, {"type": "object"}),
        ({"type": "json_schema", "json_schema": {"name": "n", "strict": None, "schema": {}}}, {}),
    ],
)
def test_the_format_of_the_answer_becomes_a_grammar(wanted: Any, grammar: Any) -> None:
    assert talk(response_format=wanted).grammar == grammar


@pytest.mark.parametrize(("stop", "texts"), [(None, []), ("\n", ["\n"]), (["a", "b"], ["a", "b"]), ([], [])])
def test_stop_is_a_text_or_a_list(stop: Any, texts: list[str]) -> None:
    fields = {"messages": HELLO, "stop": stop}
    assert parse(ChatRequest, fields, strict=True).stop == texts


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "safety_identifier": "s"},
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "parallel_tool_calls": True, "verbosity": "low"},
        {"reasoning_effort": "low", "modalities": ["text"], "tools": [], "functions": [], "tool_choice": "none"},
        {"max_tokens": 5, "max_completion_tokens": 5, "stream": True, "stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"include_obfuscation": False}, "logprobs": True},
        {"max_tokens": 100_000, "stop": ["x" * 64] * 4, "logit_bias": {str(n): 1 for n in range(300)}},
    ],
)
def test_what_changes_nothing_is_accepted(fields: dict[str, Any]) -> None:
    assert talk(**fields).messages


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tools", [{"type": "function", "function": {"name": "f"}}]),
        ("tool_choice", "auto"),
        ("functions", [{"name": "f"}]),
        ("function_call", "auto"),
        ("modalities", ["text", "audio"]),
        ("audio", {"voice": "a", "format": "wav"}),
        ("prediction", {"type": "content", "content": "x"}),
        ("web_search_options", {}),
        ("moderation", {"model": "m"}),
    ],
)
def test_what_asks_for_something_else_is_refused(name: str, value: Any) -> None:
    error = refused(**{name: value})
    assert (error.code, error.param) == ("unsupported_parameter", name)
    assert f"'{name}'" in error.message


WRONG_VALUES: dict[str, list[Any]] = {
    "temperature": [2.1, -0.1, True, "1"],
    "top_p": [1.1, -0.1],
    "top_k": [-1, 1.5, 2**40],
    "repetition_penalty": [0, 2.5],
    "frequency_penalty": [2.5, -2.5],
    "presence_penalty": [2.5, -2.5],
    "seed": [2**63, 1.5, True],
    "n": [0, 5, "1"],
    "max_tokens": [0, -1, 1.5],
    "max_completion_tokens": [0, "many"],
    "stream": [1, "true"],
    "stream_options": [{}, True],
    "logprobs": [5, "yes"],
    "top_logprobs": [1, -1, 21],
    "stop": [1, ["a"] * 5],
    "stop[0]": ["", "x" * 65, [1]],
    "logit_bias": [[1], {"a": 1}, {"-1": 1}, {"²": 1}, {"1" * 10: 1}, {str(n): 1 for n in range(301)}],
    "logit_bias.5": [{"5": 101}, {"5": None}, {"5": True}],
    "cache_salt": ["x" * 129, 1],
    "model": [1, "m" * 65],
    "best_of": [2, None],
    "response_format": ["json"],
    "response_format.type": [{"type": "xml"}, {}],
    "response_format.json_schema": [{"type": "json_schema"}, {"type": "text", "json_schema": {"schema": {}}}],
    "response_format.json_schema.schema": [
        {"type": "json_schema", "json_schema": {"name": "n"}},
        {"type": "json_schema", "json_schema": {"schema": []}},
    ],
    "response_format.json_schema.name": [{"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}],
    "messages": ["Hi", [], HELLO * 129],
    "messages[0]": [[None], ["Hi"]],
}
WRONG_TURNS: list[tuple[Any, str]] = [
    ({"content": "x"}, "role"),
    ({"role": "tool", "content": "x", "tool_call_id": "1"}, "role"),
    ({"role": "function", "content": "x", "name": "f"}, "role"),
    ({"role": "user"}, "content"),
    ({"role": "user", "content": 1}, "content"),
    ({"role": "user", "content": []}, "content"),
    ({"role": "assistant", "content": None}, "content"),
    ({"role": "assistant", "content": "x", "tool_calls": [{"id": "1"}]}, "tool_calls"),
    ({"role": "assistant", "content": "x", "audio": {"id": "1"}}, "audio"),
    ({"role": "user", "content": "x", "weight": 1}, "weight"),
    ({"role": "system", "content": [text("a"), picture()]}, "content[1]"),
    ({"role": "assistant", "content": [picture()]}, "content[0]"),
]
WRONG_PARTS: list[tuple[Any, str]] = [
    ("Hi", ""),
    ({"text": "b"}, ""),
    ({"type": []}, ""),
    ({"type": "input_audio", "input_audio": {}}, ""),
    ({"type": "text"}, ".text"),
    (text(None), ".text"),
    ({"type": "text", "text": "a", "x": 1}, ".x"),
    ({"type": "image_url", "image_url": DATA_URI}, ".image_url"),
    ({"type": "image_url", "image_url": {}}, ".image_url.url"),
    (picture(None), ".image_url.url"),
    (picture(""), ".image_url.url"),
    (picture("not base64!"), ".image_url.url"),
    (picture("data:text/html;base64,AAAA"), ".image_url.url"),
    (picture({"type": "base64", "value": BASE64}), ".image_url.url"),
    (picture(detail="huge"), ".image_url.detail"),
    (picture(detail=[]), ".image_url.detail"),
    (picture(width=1), ".image_url.width"),
]


@pytest.mark.parametrize(
    ("param", "value"), [(name, value) for name, values in WRONG_VALUES.items() for value in values]
)
def test_a_wrong_value_is_named_in_our_own_words(param: str, value: Any) -> None:
    error = refused(**{param.split(".", maxsplit=1)[0].removesuffix("[0]"): value})
    assert error.param == param and f"'{param}'" in error.message
    assert "has a value that is not allowed" not in error.message


@pytest.mark.parametrize(("turn", "param"), WRONG_TURNS)
def test_a_wrong_message_is_named(turn: Any, param: str) -> None:
    error = refused(messages=[*HELLO, turn])
    assert error.param == f"messages[1].{param}" and f"'{error.param}'" in error.message


@pytest.mark.parametrize(("part", "param"), WRONG_PARTS)
def test_a_wrong_part_is_named(part: Any, param: str) -> None:
    assert refused(**user(text("a"), part)).param == f"messages[0].content[1]{param}"


def test_fields_that_contradict_each_other_are_refused() -> None:
    assert refused(max_tokens=1, max_completion_tokens=2).param == "max_tokens"
    assert refused(stream=True, stream_options={"include": 1}).param == "stream_options.include"
    assert refused(logprobs=False, top_logprobs=0).param == "top_logprobs"


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (user(picture("https://example.com/a.png")), "url_input_disabled"),
        (user(picture(" HTTP://169.254.169.254/")), "url_input_disabled"),
        (user(*[picture()] * 5), "too_many_images"),
        (user(picture("AAA")), "invalid_base64"),
        (user({"type": "text", "text": "a", "x": 1}), "unknown_field"),
        ({"best_of": 1}, "unknown_field"),
        ({"messages": [{"role": "user"}]}, "missing_field"),
    ],
)
def test_codes_tell_clients_what_to_do(fields: dict[str, Any], code: str) -> None:
    assert refused(**fields).code == code


def test_pictures_are_counted_over_all_messages_before_any_is_decoded() -> None:
    turns = [{"role": "user", "content": [picture("!")]}] * 5
    assert refused(messages=turns).code == "too_many_images"
    assert (
        refused(Limits(images=2), messages=turns[:3]).message == "There are 3 pictures in 'messages'. Send at most 2."
    )


def test_texts_are_bounded_in_bytes_over_all_messages() -> None:
    half = {"role": "user", "content": "ä" * 16_384}
    assert len(talk(messages=[half, half]).messages) == 2
    error = refused(messages=[half, half, *HELLO])
    assert isinstance(error, TooLarge) and (error.code, error.param) == ("field_too_large", "messages")


def test_tokens_are_asked_of_messages_or_of_a_text() -> None:
    def asked(**fields: Any) -> Any:
        return to_prompt(parse(TokenizeRequest, fields, strict=True), Limits())

    assert asked(prompt="a b") == "a b"
    assert asked(messages=HELLO, model="llava") == (Message("user", ("Hello",), "messages[0]"),)
    for wrong in ({}, {"prompt": "a", "messages": HELLO}):
        with pytest.raises(InvalidRequest, match="either 'messages' or 'prompt'"):
            asked(**wrong)
    with pytest.raises(TooLarge):
        asked(prompt="x" * 65_537)
