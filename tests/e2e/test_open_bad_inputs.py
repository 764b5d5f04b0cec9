"""What a request for open-vocabulary detection can get wrong, each with its own 4xx, through the gateway."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.e2e import pictures
from tests.e2e.refusals import check
from tests.house import House

PATH = "/v1/detect/open"
PNG = pictures.encoded("PNG")
RAW = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=xyz"}


@dataclass(frozen=True)
class Bad:
    """A request, and the answer that it must get."""

    name: str
    content: bytes
    param: str | None
    code: str = "invalid_request"
    status: int = 400
    headers: dict[str, str] = field(default_factory=lambda: JSON)
    query: str = ""


def body(**fields: Any) -> bytes:
    return json.dumps({"image": pictures.text(PNG), **fields}).encode()


def form(**fields: bytes) -> bytes:
    parts = {"image": PNG, **fields}
    head = '--xyz\r\nContent-Disposition: form-data; name="{}"\r\n\r\n'
    return b"".join(head.format(name).encode() + data + b"\r\n" for name, data in parts.items()) + b"--xyz--\r\n"


def bad_labels() -> Iterator[Bad]:
    yield Bad("no labels", body(), "labels", "missing_field")
    for name, labels, param in (
        ("an empty list", [], "labels"),
        ("101 labels", [f"q{n}" for n in range(101)], "labels"),
        ("an empty label", ["cat", ""], "labels[1]"),
        ("a blank label", [" \t"], "labels[0]"),
        ("65 characters", ["a" * 65], "labels[0]"),
        ("a control character", ["cat\u0007"], "labels[0]"),
        ("a number", ["cat", 5], "labels[1]"),
        ("null", [None], "labels[0]"),
        ("a nested list", [["cat"]], "labels[0]"),
        ("no list at all", 5, "labels"),
        ("an object", {"label": "cat"}, "labels"),
        ("an object without a label", [{"threshold": 0.5}], "labels[0].label"),
        ("an object whose label is a number", [{"label": 5}], "labels[0].label"),
        ("an object with more", [{"label": "cat", "x": 1}], "labels[0].x"),
        ("a threshold over 1", [{"label": "cat", "threshold": 2}], "labels[0].threshold"),
        ("a threshold that is a string", [{"label": "cat", "threshold": "0.5"}], "labels[0].threshold"),
    ):
        yield Bad(f"labels: {name}", body(labels=labels), param, "invalid_request|missing_field|unknown_field")
    long = ["red circle", "one two three four five six seven eight nine ten eleven twelve"]
    yield Bad("labels: too many tokens", body(labels=long), "labels[1]", "label_too_long")
    yield Bad(
        "labels: under two names", body(labels=["a"], candidate_labels=["b"]), "candidate_labels", "unknown_field"
    )
    twice = {"labels": ["a"], "parameters": {"labels": ["b"]}}
    yield Bad("labels: twice", body(**twice), "labels")
    yield Bad("labels: not JSON in a form", form(labels=b"[cat"), None, "invalid_json", headers=FORM)
    yield Bad("labels: an empty form field", form(labels=b""), "labels[0]", headers=FORM)
    for query, param in {"labels=": "labels[0]", "labels=a,": "labels[1]", "labels=a&labels=": "labels[1]"}.items():
        yield Bad(f"query {query}", PNG, param, headers=RAW, query=query)
    yield Bad("a raw picture and no query", PNG, "labels", "missing_field", headers=RAW)


def bad_templates() -> Iterator[Bad]:
    for template in ("", "a photo", "{} or {}", "{label}", "{0}", "{}{"):
        yield Bad(f"template {template!r}", body(labels=["a"], template=template), "template")
    yield Bad("a template of 129 characters", body(labels=["a"], template="{}" + "a" * 127), "template")
    yield Bad("a template with an example", body(query_image=pictures.text(PNG), template="{}"), "template")


def bad_examples() -> Iterator[Bad]:
    example = pictures.text(PNG)
    yield Bad("an example and labels", body(labels=["a"], query_image=example), "query_image")
    yield Bad("a box and labels", body(labels=["a"], query_box=[0, 0, 9, 9]), "query_box")
    for name, value, code in (
        ("a number", 5, "invalid_image_field"),
        ("a list", [example], "invalid_image_field"),
        ("no base64", "!!!!", "invalid_base64"),
        ("a URL", "https://example.com/a.png", "url_input_disabled"),
        ("empty", "", "image_empty"),
    ):
        yield Bad(f"example: {name}", body(query_image=value), "query_image", code)
    noise = pictures.text(b"no picture at all")
    yield Bad("example: text", body(query_image=noise), "query_image", "unsupported_media_type", 415)
    for data, code, status in (
        (b"\xff" * 9, "unsupported_media_type", 415),
        (PNG[:60], "image_truncated|invalid_image", 400),
    ):
        yield Bad(f"example: {len(data)} bytes of a form", form(query_image=data), "query_image", code, status, FORM)
    cut = pictures.text(PNG[: len(PNG) // 2])
    yield Bad("example: cut in half", body(query_image=cut), "query_image", "image_truncated|invalid_image")
    huge = pictures.text(pictures.png_claiming(100_000, 100_000))
    yield Bad("example: a bomb", body(query_image=huge), "query_image", "image_too_large", 413)
    for box in ([0, 0, 9], [0, 0, 9, 9, 9], 5):
        yield Bad(f"box {box}", body(query_image=example, query_box=box), "query_box")
    yield Bad("box of words", body(query_image=example, query_box=["a", 0, 9, 9]), "query_box[0]")
    for box in ([-1, 0, 9, 9], [9, 0, 0, 9], [0, 0, 0, 9], [0, 0, 65, 9], [0, 0, 9, 49]):
        yield Bad(f"box {box} of 64 x 48", body(query_image=example, query_box=box), "query_box")
    yield Bad("box in a query", PNG, "query_box", headers=RAW, query="query_box=1,2,3")


def bad_parameters() -> Iterator[Bad]:
    for name, value in {
        "threshold": 1.5, "iou_threshold": -1, "max_detections": 0, "format": "xml", "model": 5, "parameters": [1],
    }.items():  # fmt: skip
        yield Bad(f"{name} {value}", body(labels=["a"], **{name: value}), name)
    yield Bad("an unknown field", body(labels=["a"], mask_format="rle"), "mask_format", "unknown_field")
    yield Bad("an unknown model", body(labels=["a"], model="none"), "model", "model_not_found", 404)
    yield Bad("no picture", b'{"labels":["a"]}', "image", "missing_image")
    yield Bad("a picture that is none", body(labels=["a"], image="AAAA"), "image", "unsupported_media_type", 415)


TABLE = [*bad_labels(), *bad_templates(), *bad_examples(), *bad_parameters()]


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_it_is_refused_alone_with_a_sentence(house: House, bad: Bad) -> None:
    url = f"{PATH}?{bad.query}" if bad.query else PATH
    answer = house.client.post(url, content=bad.content, headers=bad.headers)
    check(answer, status=bad.status, code=bad.code, param=bad.param)


def test_the_service_lives_on(house: House) -> None:
    answer = house.client.post(PATH, json={"image": pictures.text(PNG), "labels": ["a red circle"]})
    assert answer.status_code == 200, answer.text
