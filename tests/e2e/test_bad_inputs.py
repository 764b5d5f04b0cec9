"""Everything that a request can get wrong, each with its own 4xx, through the gateway; and the service lives on."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.e2e import pictures
from tests.e2e.refusals import check
from tests.house import House

GOOD = pictures.encoded("JPEG")
PNG = pictures.encoded("PNG")
RAW = {"content-type": "image/jpeg"}
JSON = {"content-type": "application/json"}
FORM = {"content-type": "multipart/form-data; boundary=xyz"}


@dataclass(frozen=True)
class Bad:
    """A request, and the answer that it must get."""

    name: str
    status: int
    code: str
    content: bytes = GOOD
    headers: dict[str, str] = field(default_factory=lambda: RAW)
    query: str = ""
    param: str | None = None
    method: str = "POST"
    path: str = "/v1/detect"


def body(**fields: Any) -> bytes:
    return json.dumps({"image": pictures.text(GOOD), **fields}).encode()


def part(name: str, content: bytes, *, extra: str = "") -> bytes:
    return f'--xyz\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n'.encode() + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


def bad_pictures() -> Iterator[Bad]:
    yield Bad("nothing at all", 400, "missing_image", b"", param="image")
    yield Bad("one byte", 415, "unsupported_media_type", b"\xff", param="image")
    yield Bad("text", 415, "unsupported_media_type", b"this is no picture", param="image")
    for kind, magic in {
        "PDF": b"%PDF-1.7\n", "ZIP": b"PK\x03\x04", "ELF": b"\x7fELF", "HTML": b"<html>", "SVG": b"<svg xmlns=''>",
        "PSD": b"8BPS\x00\x01", "EPS": b"%!PS-Adobe-3.0 EPSF", "FITS": b"SIMPLE  = ", "AVIF": b"\0\0\0\x1cftypavif",
        "ICO": b"\0\0\x01\0\x01\0", "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n", "gzip": b"\x1f\x8b\x08", "DDS": b"DDS |\0\0\0",
    }.items():  # fmt: skip
        yield Bad(f"{kind} sent as JPEG", 415, "unsupported_media_type", magic + b"\0" * 200, param="image")
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        data = pictures.encoded(kind)
        yield Bad(f"{kind} cut in half", 400, "image_truncated|invalid_image", data[: len(data) // 2], param="image")
        yield Bad(f"only the magic of {kind}", 400, "image_truncated|invalid_image", data[:16], param="image")
    flipped = bytearray(PNG)
    flipped[60] ^= 0xFF
    yield Bad("PNG with a flipped byte", 400, "invalid_image|image_truncated", bytes(flipped), param="image")
    yield Bad("PNG of no width", 400, "invalid_image", pictures.png_claiming(0, 10), param="image")
    for width, height in ((5001, 5000), (16385, 10), (10, 16385), (100_000, 100_000), (2**31 - 1, 2**31 - 1)):
        yield Bad(
            f"PNG of {width}x{height}", 413, "image_too_large", pictures.png_claiming(width, height), param="image"
        )
    yield Bad("a WebP bomb", 413, "image_too_large", pictures.webp_bomb(), param="image")


def bad_bodies() -> Iterator[Bad]:
    yield Bad("no content type", 415, "unsupported_media_type", headers={"content-type": ""})
    yield Bad("a text body", 415, "unsupported_media_type", headers={"content-type": "text/plain"})
    yield Bad(
        "a form body", 415, "unsupported_media_type", headers={"content-type": "application/x-www-form-urlencoded"}
    )
    yield Bad("an encoded body", 415, "unsupported_media_type", headers={**RAW, "content-encoding": "gzip"})
    yield Bad("21 MB", 413, "body_too_large", b"\0" * 21_000_000)


def bad_json() -> Iterator[Bad]:
    for name, content in {
        "no JSON": b"{", "an empty body": b"", "trailing data": b'{"image":"a"} x', "a list": b"[]", "a number": b"1",
        "null": b"null", "NaN": b'{"threshold":NaN}', "Infinity": b'{"threshold":Infinity}', "1e999": b'{"threshold":1e999}',
        "a duplicate key": b'{"image":"a","image":"b"}', "UTF-16": '{"image":"a"}'.encode("utf-16"),
        "bad UTF-8": b'{"image":"\xff"}', "a lone surrogate": b'{"image":"\\ud800"}', "NUL": b'{"model":"a\\u0000b"}',
        "depth 40": b'{"a":' * 40 + b"1" + b"}" * 40, "depth 100000": b"[" * 100_000, "a huge integer": b'{"a":' + b"9" * 5000 + b"}",
        "a byte order mark": b"\xef\xbb\xbf{}",
    }.items():  # fmt: skip
        yield Bad(f"JSON: {name}", 400, "invalid_json|invalid_request|missing_image", content, JSON)


def bad_base64() -> Iterator[Bad]:
    yield Bad("JSON: no picture", 400, "missing_image", b"{}", JSON, param="image")
    yield Bad(
        "JSON: picture is a number", 400, "invalid_image_field|invalid_request", b'{"image":5}', JSON, param="image"
    )
    yield Bad(
        "JSON: pictures are no list",
        400,
        "invalid_request|invalid_image_field",
        b'{"images":"a"}',
        JSON,
        param="images",
    )
    for name, value in {
        "bad alphabet": "!!!!", "bad padding": "abc", "url-safe": text_url_safe(), "empty": "", "wrong type in data URI": "data:text/html;base64,AAAA",
        "data URI without base64": "data:image/png,xyz",
    }.items():  # fmt: skip
        content = json.dumps({"image": value}).encode()
        yield Bad(
            f"base64: {name}",
            400,
            "invalid_base64|image_empty|invalid_image_field|missing_image",
            content,
            JSON,
            param="image",
        )
    second = json.dumps({"images": [pictures.text(GOOD), "!!!!"]}).encode()
    yield Bad("base64: the second picture", 400, "invalid_base64", second, JSON, param="images[1]")
    third = json.dumps({"images": [pictures.text(GOOD)] * 2 + [pictures.text(b"no picture")]}).encode()
    yield Bad("the third is no picture", 415, "unsupported_media_type", third, JSON, param="images[2]")
    many = json.dumps({"images": [pictures.text(PNG)] * 17}).encode()
    yield Bad("17 pictures", 400, "too_many_images", many, JSON, param="images")
    for url in ("https://example.com/a.jpg", "http://127.0.0.1/", "file:///etc/passwd"):
        yield Bad(
            f"URL {url}",
            400,
            "url_input_disabled|invalid_base64",
            json.dumps({"image": url}).encode(),
            JSON,
            param="image",
        )


def bad_forms() -> Iterator[Bad]:
    headers = {"content-type": "multipart/form-data"}
    yield Bad("form: no boundary", 400, "invalid_multipart", form(part("image", GOOD)), headers)
    yield Bad("form: no end", 400, "invalid_multipart", part("image", GOOD), FORM)
    yield Bad("form: no picture", 400, "missing_image", form(part("threshold", b"0.5")), FORM, param="image")
    yield Bad("form: no parts", 400, "invalid_multipart|missing_image", b"--xyz--\r\n", FORM)
    yield Bad("form: not a form", 400, "invalid_multipart", b"hello", FORM)
    yield Bad("form: 17 parts", 400, "invalid_multipart|too_many_images", form(*[part("a", b"1")] * 17), FORM)
    yield Bad("form: unnamed part", 400, "invalid_multipart", b"--xyz\r\n\r\nabc\r\n--xyz--\r\n", FORM)


def bad_fields() -> Iterator[Bad]:
    yield Bad(
        "form: a long text field",
        413,
        "field_too_large",
        form(part("model", b"a" * 70_000), part("image", GOOD)),
        FORM,
        param="model",
    )
    many = "".join(f"\r\nX-{n}: 1" for n in range(20))
    yield Bad("form: 20 headers in a part", 400, "invalid_multipart", form(part("image", GOOD, extra=many)), FORM)
    yield Bad(
        "form: an unknown field",
        400,
        "unknown_field",
        form(part("image", GOOD), part("size", b"1")),
        FORM,
        param="size",
    )
    yield Bad(
        "form: a bad number",
        400,
        "invalid_request",
        form(part("image", GOOD), part("threshold", b"x")),
        FORM,
        param="threshold",
    )
    yield Bad(
        "form: text is not UTF-8",
        400,
        "invalid_request",
        form(part("image", GOOD), part("model", b"\xff")),
        FORM,
        param="model",
    )


def bad_parameters() -> Iterator[Bad]:
    for query, param in {
        "threshold=2": "threshold", "threshold=-0.1": "threshold", "threshold=nan": "threshold", "threshold=inf": "threshold",
        "threshold=x": "threshold", "threshold=": "threshold", "threshold=0.1&threshold=0.2": "threshold", "iou_threshold=1.5": "iou_threshold",
        "max_detections=0": "max_detections", "max_detections=301": "max_detections", "max_detections=1.5": "max_detections",
        "max_detections=99999999999999999999": "max_detections", "labels=nothing": "labels", "labels=": "labels[0]",
        "labels=circle,cirle": "labels", f"labels={'a' * 65}": "labels[0]", "mask_format=png": "mask_format", "format=xml": "format",
        "model=faster-rcnn&mask_format=rle": "mask_format", "nonsense=1": "nonsense", "image_url=http://x": "image_url",
    }.items():  # fmt: skip
        yield Bad(f"query {query[:40]}", 400, "invalid_request|unknown_field", query=query, param=param)
    yield Bad("101 labels", 400, "invalid_request", body(labels=["circle"] * 101), JSON, param="labels")
    for name, value in {
        "threshold": "0.5",
        "max_detections": True,
        "labels": 5,
        "model": 7,
        "iou_threshold": [0.5],
    }.items():
        yield Bad(f"JSON {name} of the wrong type", 400, "invalid_request", body(**{name: value}), JSON, param=name)
    yield Bad("JSON threshold true", 400, "invalid_request", body(threshold=True), JSON, param="threshold")
    yield Bad("JSON unknown field", 400, "unknown_field", body(treshold=0.5), JSON, param="treshold")
    yield Bad("HF parameters no object", 400, "invalid_request", body(parameters=[1]), JSON, param="parameters")
    yield Bad("HF unknown parameter", 400, "unknown_field", body(parameters={"top": 1}), JSON, param="top")
    for model in ("nothing", "../x", "..%2Fx", "FASTER-RCNN", "faster-rcnn%00"):
        yield Bad(f"model {model}", 404, "model_not_found", query=f"model={model}", param="model")


def bad_routes() -> Iterator[Bad]:
    yield Bad("no such path", 404, "not_found", path="/v1/detects")
    yield Bad("an upper-case path", 404, "not_found", path="/V1/DETECT")
    yield Bad("a path that climbs", 404, "not_found", path="/v1/../v1/detect/x")
    yield Bad("GET", 405, "method_not_allowed", b"", {}, method="GET")
    yield Bad("DELETE", 405, "method_not_allowed", b"", {}, method="DELETE")
    yield Bad("PUT", 405, "method_not_allowed", method="PUT")
    yield Bad(
        "labels of an unknown model",
        404,
        "model_not_found",
        b"",
        {},
        method="GET",
        path="/v1/models/none/labels",
        param="model",
    )
    yield Bad("an unknown model", 404, "model_not_found", b"", {}, method="GET", path="/v1/models/none", param="model")
    for value in ("abc", "-5", "0", "1e3", "9" * 20):
        headers = {**RAW, "x-request-deadline-ms": value}
        yield Bad(f"deadline {value}", 400, "invalid_request", headers=headers, param="x-request-deadline-ms")
    yield Bad("70 headers", 431, "headers_too_large", headers={**RAW, **{f"x-{n}": "1" for n in range(70)}})
    yield Bad("a long header", 431, "headers_too_large", headers={**RAW, "x-long": "a" * 17_000})


def text_url_safe() -> str:
    return pictures.text(b"\xfb\xff\xfe" * 20).replace("+", "-").replace("/", "_")


TABLE = [
    *bad_pictures(), *bad_bodies(), *bad_json(), *bad_base64(),
    *bad_forms(), *bad_fields(), *bad_parameters(), *bad_routes(),
]  # fmt: skip


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 80
    assert len({bad.name for bad in TABLE}) == len(TABLE)


@pytest.mark.parametrize("bad", TABLE, ids=lambda bad: bad.name)
def test_it_is_refused_alone_with_a_sentence(house: House, bad: Bad) -> None:
    url = f"{house.gateway.url}{bad.path}{'?' + bad.query if bad.query else ''}"
    request = httpx.Request(bad.method, url, content=bad.content, headers=bad.headers)
    answer = house.client.send(request)
    check(answer, status=bad.status, code=bad.code, param=bad.param)


def test_the_service_lives_on(house: House) -> None:
    answer = house.client.post("/v1/detect", content=GOOD, headers=RAW)
    assert answer.status_code == 200
    for process in (house.gateway, house.detection):
        exposition = httpx.get(f"{process.management}/metrics").text
        assert not re.search(r'http_response_status_code="5', exposition)
