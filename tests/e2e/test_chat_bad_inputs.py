"""What a request for chat can get wrong, each with its own 4xx, through the gateway; and the service lives on."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.e2e import pictures
from tests.e2e.refusals import check
from tests.house import House

PATH = "/v1/chat/completions"
PNG = pictures.encoded("PNG")
JSON = {"content-type": "application/json"}
OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}}


class Bad(NamedTuple):
    """A request, and the answer that it must get."""

    name: str
    content: bytes
    param: str | None
    code: str = "invalid_request"
    status: int = 400
    headers: dict[str, str] = JSON
    path: str = PATH


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def text(value: Any = "hi") -> dict[str, Any]:
    return {"type": "text", "text": value}


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def body(messages: Any = None, **fields: Any) -> bytes:
    return json.dumps({"messages": user(text()) if messages is None else messages, **fields}).encode()


def bad_bodies() -> Iterator[Bad]:
    yield Bad("no JSON", b"{", None, "invalid_json")
    yield Bad("a list", b"[]", None)
    yield Bad("nothing", b"", None, "invalid_json")
    yield Bad("another type", b"hi", None, "unsupported_media_type", 415, {"content-type": "text/plain"})
    yield Bad("no messages", b"{}", "messages", "missing_field")
    yield Bad("not a number", b'{"messages": [], "temperature": NaN}', None, "invalid_json")
    yield Bad("too deep", b'{"messages": ' + b"[" * 99 + b"]" * 99 + b"}", None, "invalid_json")


def bad_messages() -> Iterator[Bad]:
    for name, messages, param in (
        ("none", [], "messages"),
        ("a string", "hi", "messages"),
        ("129 of them", [{"role": "user", "content": "hi"}] * 129, "messages"),
        ("a number", [5], "messages[0]"),
        ("no role", [{"content": "hi"}], "messages[0].role"),
        ("another role", [{"role": "tool", "content": "hi"}], "messages[0].role"),
        ("no content", [{"role": "user"}], "messages[0].content"),
        ("content null", [{"role": "user", "content": None}], "messages[0].content"),
        ("content empty", [{"role": "user", "content": []}], "messages[0].content"),
        ("content a number", [{"role": "user", "content": 5}], "messages[0].content"),
        ("a part of another type", user({"type": "video"}), "messages[0].content[0]"),
        ("a part with more", user({**text(), "x": 1}), "messages[0].content[0].x"),
        ("a text that is a number", user(text(5)), "messages[0].content[0].text"),
        ("a picture in a reply", [{"role": "assistant", "content": [image("AAAA")]}], "messages[0].content[0]"),
        ("a system message in the middle", [*user(text()), {"role": "system", "content": "x"}], "messages[1].role"),
        ("nobody asks", [*user(text()), {"role": "assistant", "content": "x"}], "messages[1].role"),
        ("a NUL", user(text("a\0b")), "messages[0].content[0].text"),
        ("half a surrogate pair", user(text("\ud800")), "messages[0].content[0].text"),
        ("too long for the model", user(text("red circle " * 2000)), "messages"),
    ):
        yield Bad(f"messages: {name}", body(messages), param, ANY)
    yield Bad("messages: too much text", body(user(text("a" * 70_000))), "messages", "field_too_large", 413)


def bad_pictures() -> Iterator[Bad]:
    url = "messages[0].content[0].image_url.url"
    yield Bad("a URL", body(user(image("https://example.com/a.png"))), url, "url_input_disabled")
    yield Bad("no base64", body(user(image("!!!"))), url, "invalid_base64|invalid_image_field")
    yield Bad("a number", body(user(image(5))), url, ANY)
    yield Bad("no url", body(user({"type": "image_url", "image_url": {}})), url, "missing_field")
    yield Bad("no picture", body(user(image(pictures.text(b"nothing")))), url, "unsupported_media_type", 415)
    yield Bad("half a picture", body(user(image(pictures.text(PNG[:60])))), url, "image_truncated|invalid_image")
    bomb = pictures.text(pictures.png_claiming(100_000, 100_000))
    yield Bad("a bomb", body(user(image(bomb))), url, "image_too_large", 413)
    yield Bad("five pictures", body(user(*[image(pictures.text(PNG))] * 5)), "messages", "too_many_images")
    detail = {"type": "image_url", "image_url": {"url": pictures.text(PNG), "detail": "huge"}}
    yield Bad("another detail", body(user(detail)), "messages[0].content[0].image_url.detail")


def bad_parameters() -> Iterator[Bad]:
    for name, value in {
        "temperature": -1, "top_p": 2, "top_k": -1, "repetition_penalty": 0, "frequency_penalty": 3,
        "presence_penalty": "1", "seed": 1.5, "n": 5, "max_tokens": 0, "max_completion_tokens": 10**6,
        "top_logprobs": 3, "stop": ["a"] * 5, "stream": "yes", "stream_options": {"include_usage": True},
        "logit_bias": {"a": 1}, "response_format": {"type": "xml"}, "cache_salt": "a" * 129, "modalities": ["audio"],
        "tools": [{"type": "function"}], "audio": {}, "functions": [{}], "tool_choice": "auto",
    }.items():  # fmt: skip
        yield Bad(f"{name} {str(value)[:30]}", body(**{name: value}), None, ANY)
    yield Bad("an unknown field", body(colour="red"), "colour", "unknown_field")
    yield Bad("an unknown model", body(model="gpt-4o"), "model", "model_not_found", 404)
    yield Bad("two lengths", body(max_tokens=5, max_completion_tokens=6), "max_tokens")
    yield Bad("a bias of no token", body(logit_bias={"99999": 1}), "logit_bias")
    yield Bad("a stop string that is empty", body(stop=""), None, ANY)
    for name, schema in {
        "a type that is none": {"type": "thing"},
        "a reference to elsewhere": {"$ref": "http://x"},
    }.items():
        shaped = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
        yield Bad(f"a schema with {name}", body(response_format=shaped), "response_format.json_schema.schema")
    yield Bad("no schema", body(response_format={"type": "json_schema"}), "response_format.json_schema", ANY)
    unshaped = {"type": "text", "json_schema": {"name": "a", "schema": OBJECT}}
    yield Bad("a schema for text", body(response_format=unshaped), "response_format.json_schema")
    yield Bad("tokens of nothing", b"{}", "prompt", path="/v1/tokenize")
    yield Bad("tokens of both", body(prompt="hi"), "prompt", path="/v1/tokenize")


WRONG = ("invalid_request", "invalid_json", "missing_field", "unknown_field", "unsupported_parameter")
ANY = "|".join((*WRONG, "invalid_image_field", "context_length_exceeded"))
TABLE = [*bad_bodies(), *bad_messages(), *bad_pictures(), *bad_parameters()]


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 60
    assert len({bad.name for bad in TABLE}) == len(TABLE)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_chat_refuses_it_alone_with_a_sentence(house: House, bad: Bad) -> None:
    answer = house.client.post(bad.path, content=bad.content, headers=bad.headers)
    check(answer, status=bad.status, code=bad.code, param=bad.param)


def test_chat_lives_on(house: House) -> None:
    answer = house.client.post(PATH, content=body(user(image(pictures.text(PNG)), text("What is this?"))), headers=JSON)
    assert answer.status_code == 200, answer.text
