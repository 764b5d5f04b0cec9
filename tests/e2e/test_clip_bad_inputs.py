"""Everything that a request to CLIP can get wrong, each with its own 4xx, through the gateway; the service lives on."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e import pictures
from tests.e2e.refusals import check
from tests.house import House

PNG = pictures.encoded("PNG")
URI = f"data:image/png;base64,{pictures.text(PNG)}"
JSON = {"content-type": "application/json"}
RAW = {"content-type": "image/png"}
FORM = {"content-type": "multipart/form-data; boundary=xyz"}
EMBED, CLASSIFY, COMPARE = "/v1/embeddings", "/v1/classify", "/v1/similarity"


@dataclass(frozen=True)
class Bad:
    """A request, and the answer that it must get."""

    name: str
    path: str
    content: bytes
    status: int = 400
    code: str = "invalid_request"
    param: str | None = None
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    method: str = "POST"


def text(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


def part(name: str, content: bytes) -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


def bad_inputs() -> Iterator[Bad]:
    for name, value, param in (
        ("an empty text", "", "input"),
        ("a blank text", " \n", "input"),
        ("an empty list", [], "input"),
        ("an empty text in a list", ["a", ""], "input[1]"),
        ("tokens", [1, 2, 3], "input[0]"),
        ("lists of tokens", [[1, 2], [3]], "input[0]"),
        ("a number", 5, "input"),
        ("true", True, "input"),
        ("null in a list", ["a", None], "input[1]"),
        ("an empty object", {}, "input"),
        ("an unknown object", [{"audio": "a"}], "input[0]"),
        ("a text and a picture in one", [{"text": "a", "image": URI}], "input[0]"),
        ("a text that is a number", [{"text": 5}], "input[0].text"),
        ("an empty text in an object", ["a", {"text": ""}], "input[1].text"),
        ("5000 characters", "a" * 5000, "input"),
        ("more tokens than the model reads", "red circle " * 100, "input"),
    ):
        yield Bad(f"input: {name}", EMBED, text(input=value), param=param, code="invalid_request|text_too_long")
    yield Bad("input: null", EMBED, text(input=None), code="missing_field", param="input")
    yield Bad("input: none", EMBED, text(model="clip"), code="missing_field", param="input")
    yield Bad("input: 65 texts", EMBED, text(input=["a"] * 65), code="too_many_texts", param="input")
    yield Bad("input: 17 pictures", EMBED, text(input=[{"image": URI}] * 17), code="too_many_images", param="input")
    yield Bad("input: NUL", EMBED, b'{"input":"a\\u0000b"}', code="invalid_json", param="input")
    yield Bad("input: half a surrogate", EMBED, b'{"input":["\\ud800"]}', code="invalid_json", param="input[0]")


def bad_pictures() -> Iterator[Bad]:
    for name, value, code in (
        ("a number", 5, "invalid_image_field"),
        ("nothing", "", "image_empty"),
        ("no base64", "!!!!", "invalid_base64"),
        ("an https URL", "https://example.com/a.png", "url_input_disabled"),
        ("an http URL of this machine", "http://127.0.0.1:9002/metrics", "url_input_disabled"),
        ("a data URI of HTML", "data:text/html;base64,AAAA", "invalid_image_field"),
        ("half a PNG", pictures.text(PNG[: len(PNG) // 2]), "image_truncated|invalid_image"),
    ):
        yield Bad(f"picture: {name}", EMBED, text(input=["a", {"image": value}]), code=code, param="input[1].image")
    yield Bad(
        "picture: text", EMBED, text(input={"image": pictures.text(b"no picture")}), 415, "unsupported_media_type"
    )
    huge = pictures.text(pictures.png_claiming(16385, 10))
    yield Bad("picture: too wide", EMBED, text(input=[{"image": huge}]), 413, "image_too_large", "input[0].image")
    yield Bad(
        "picture: URL by modality",
        EMBED,
        text(input=["http://example.com/a.png"], modality="image"),
        code="url_input_disabled",
        param="input[0]",
    )
    yield Bad(
        "picture: words by modality",
        EMBED,
        text(input="a cat!", modality="image"),
        code="invalid_base64",
        param="input",
    )
    yield Bad("body: text as PNG", EMBED, b"no picture", 415, "unsupported_media_type", "image", RAW)
    yield Bad("body: nothing", EMBED, b"", 400, "missing_image", "image", RAW)
    yield Bad("body: plain text", EMBED, b"a cat", 415, "unsupported_media_type", None, {"content-type": "text/plain"})
    mixed = form(part("image", PNG), part("input", b"a cat"))
    yield Bad("form: texts among pictures", EMBED, mixed, param="input", headers=FORM)
    yield Bad("form: no picture", EMBED, form(part("model", b"clip")), 400, "missing_image", "image", FORM)


def bad_parameters() -> Iterator[Bad]:
    for name, value, code in (
        ("encoding_format", "base32", "invalid_request"),
        ("encoding_format", 5, "invalid_request"),
        ("dimensions", 0, "invalid_request"),
        ("dimensions", -8, "invalid_request"),
        ("dimensions", 5, "invalid_request"),
        ("dimensions", 100_000, "invalid_request"),
        ("dimensions", "8", "invalid_request"),
        ("dimensions", 8.5, "invalid_request"),
        ("modality", "audio", "invalid_request"),
        ("user", 5, "invalid_request"),
        ("user", "a" * 300, "invalid_request"),
        ("model", 5, "invalid_request"),
        ("truncate", True, "unknown_field"),
    ):
        yield Bad(f"{name} {str(value)[:20]!r}", EMBED, text(input="a", **{name: value}), code=code, param=name)
    yield Bad("an unknown model", EMBED, text(input="a", model="gpt"), 404, "model_not_found", "model")
    yield Bad("a query beside JSON", f"{EMBED}?dimensions=5", text(input="a"), param="query")
    yield Bad("JSON: a list", EMBED, b'["a"]')
    yield Bad("JSON: broken", EMBED, b'{"input":', code="invalid_json")
    yield Bad("JSON: twice", EMBED, b'{"input":"a","input":"b"}', code="invalid_json", param="input")
    yield Bad("JSON: NaN", EMBED, b'{"input":"a","dimensions":NaN}', code="invalid_json")
    for path, body in (
        (EMBED, text(input="a")),
        (CLASSIFY, text(image=URI, labels=["a"])),
        (COMPARE, text(image=URI, texts="a")),
    ):
        headers = {**JSON, "if-embedding-space": "space:of-another-model"}
        yield Bad(f"another space: {path}", path, body, 409, "embedding_space_mismatch", "if-embedding-space", headers)


def bad_questions() -> Iterator[Bad]:
    for name, fields, code, param in (
        ("no labels", {}, "missing_field", "labels"),
        ("an empty list", {"labels": []}, "invalid_request", "labels"),
        ("101 labels", {"labels": [f"l{n}" for n in range(101)]}, "invalid_request", "labels"),
        ("a long label", {"labels": ["a", "b" * 65]}, "invalid_request", "labels[1]"),
        ("an empty label", {"labels": ["a", ""]}, "invalid_request", "labels[1]"),
        ("a blank label", {"labels": ["a", "  "]}, "invalid_request", "labels[1]"),
        ("a label twice", {"labels": ["a", "b", "a"]}, "invalid_request", "labels[2]"),
        ("a label that is a number", {"labels": [5]}, "invalid_request", "labels[0]"),
        ("labels and a set", {"labels": ["a"], "label_set": "shapes"}, "invalid_request", "label_set"),
        ("an unknown set", {"label_set": "../shapes"}, "invalid_request", "label_set"),
        ("a template without a place", {"labels": ["a"], "templates": ["a photo"]}, "invalid_request", "templates[0]"),
        ("a template with two", {"labels": ["a"], "templates": ["{}", "{} {}"]}, "invalid_request", "templates[1]"),
        ("a named place", {"labels": ["a"], "template": "{label}"}, "invalid_request", "templates[0]"),
        ("17 templates", {"labels": ["a"], "templates": ["{}"] * 17}, "invalid_request", "templates"),
        ("another activation", {"labels": ["a"], "activation": "relu"}, "invalid_request", "activation"),
        ("top_k 0", {"labels": ["a"], "top_k": 0}, "invalid_request", "top_k"),
        ("threshold 2", {"labels": ["a"], "threshold": 2}, "invalid_request", "threshold"),
        ("format xml", {"labels": ["a"], "format": "xml"}, "invalid_request", "format"),
        ("an unknown field", {"labels": ["a"], "tempalte": "{}"}, "unknown_field", "tempalte"),
        ("an unknown model", {"labels": ["a"], "model": "none"}, "model_not_found", "model"),
    ):
        status = 404 if code == "model_not_found" else 400
        yield Bad(f"classify: {name}", CLASSIFY, text(image=URI, **fields), status, code, param)
    yield Bad("classify: no picture", CLASSIFY, text(labels=["a"]), code="missing_image", param="image")
    yield Bad("classify: a query with no labels", CLASSIFY, PNG, code="missing_field", param="labels", headers=RAW)
    yield Bad("classify: a bad number", f"{CLASSIFY}?labels=a&top_k=x", PNG, param="top_k", headers=RAW)
    for name, texts, param in (
        ("no texts", [], "texts"),
        ("65 texts", ["a"] * 65, "texts"),
        ("an empty text", ["a", ""], "texts[1]"),
        ("a blank text", ["a", " "], "texts[1]"),
        ("a number", ["a", 5], "texts[1]"),
        ("an object", {"text": "a"}, "texts"),
    ):
        yield Bad(f"similarity: {name}", COMPARE, text(image=URI, texts=texts), param=param)
    yield Bad("similarity: none", COMPARE, text(image=URI), code="missing_field", param="texts")
    yield Bad("similarity: no picture", COMPARE, text(texts=["a"]), code="missing_image", param="image")
    for path in (EMBED, CLASSIFY, COMPARE):
        yield Bad(f"GET {path}", path, b"", 405, "method_not_allowed", None, {}, "GET")
    yield Bad("POST to the label sets", "/v1/label-sets", b"{}", 405, "method_not_allowed")


TABLE = [*bad_inputs(), *bad_pictures(), *bad_parameters(), *bad_questions()]


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 80
    assert len({bad.name for bad in TABLE}) == len(TABLE)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_clip_refuses_it_alone_with_a_sentence(house: House, bad: Bad) -> None:
    answer = house.client.request(bad.method, bad.path, content=bad.content, headers=bad.headers)
    check(answer, status=bad.status, code=bad.code, param=bad.param)


def test_clip_lives_on(house: House) -> None:
    answer = house.client.post(EMBED, json={"input": ["a red circle", {"image": URI}]})
    assert answer.status_code == 200
    assert len(answer.json()["data"]) == 2
    assert httpx.get(f"{house.gateway.management}/readyz").status_code == 200
