"""Uploads: three kinds of body become pictures and fields, or one of our errors that names the field."""

import base64
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import InvalidRequest, OcelliError, TooLarge, UnsupportedMedia
from shared.images.upload import Upload, read_upload
from shared.settings import Limits

LIMITS = Limits()
PICTURE = bytes(range(256)) + b"\r\n--not a boundary\r\n"
TEXT = base64.b64encode(PICTURE).decode()
FORM = "multipart/form-data; boundary=xyz"


def part(name: str, data: bytes, *headers: str, file: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")
    return "\r\n".join(["--xyz", disposition, *headers, "", ""]).encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--xyz--\r\n"


def read_json(value: Any, limits: Limits = LIMITS) -> Upload:
    return read_upload("application/json", json.dumps(value).encode(), limits)


def refused(content_type: str, body: bytes, limits: Limits = LIMITS) -> OcelliError:
    with pytest.raises(OcelliError) as caught:
        read_upload(content_type, body, limits)
    return caught.value


@pytest.mark.parametrize("kind", ["image/jpeg", "IMAGE/PNG; q=1", "image/x-anything", "application/octet-stream"])
def test_raw_body_is_the_picture(kind: str) -> None:
    assert read_upload(kind, PICTURE, LIMITS) == Upload((PICTURE,), {}, ("image",))


@pytest.mark.parametrize("name", ["file", "files", "image", "images", "image[]", "images[]"])
def test_multipart_parts_with_a_pictures_name_are_pictures(name: str) -> None:
    body = form(part(name, PICTURE, "Content-Type: image/png", file="../../etc/passwd"))
    assert read_upload(FORM, body, LIMITS) == Upload((PICTURE,), {}, (name.removesuffix("[]"),))


def test_multipart_pictures_keep_their_order_and_are_numbered_where_a_name_repeats() -> None:
    body = form(part("images", b"a"), part("file", b"b"), part("images", b"c"))
    upload = read_upload(FORM, body, LIMITS)
    assert upload.images == (b"a", b"b", b"c")
    assert upload.image_fields == ("images[0]", "file", "images[1]")


def test_multipart_text_stays_text_and_a_repeated_field_is_a_list() -> None:
    fields = {"threshold": "0.5", "flag": "true", "many": "[1, 2]", "word": "Größe"}
    parts = [part(name, text.encode()) for name, text in fields.items()]
    labels = [part("labels", b"cat"), part("labels", b"dog"), part("labels", b"cow")]
    upload = read_upload(FORM, form(part("image", PICTURE), *parts, *labels), LIMITS)
    assert upload.fields == {**fields, "labels": ["cat", "dog", "cow"]}


def test_multipart_fields_that_may_be_binary_come_as_bytes_or_as_text_of_any_length() -> None:
    long = TEXT * 1000
    body = form(part("image", PICTURE), part("example", PICTURE), part("other", long.encode()))
    assert read_upload(FORM, body, LIMITS, binary=("example", "other")).fields == {"example": PICTURE, "other": long}
    assert refused(FORM, form(part("image", PICTURE), part("example", PICTURE))).param == "example"


def test_multipart_writes_no_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    upload = read_upload(FORM, form(part("image", b"x" * 5_000_000, file="a.png")), LIMITS)
    assert len(upload.images[0]) == 5_000_000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no boundary at all",
        b"--xyz\r\n",
        part("image", PICTURE),
        part("image", PICTURE) + b"--xy",
        form(b"--xyz\r\n\r\ndata\r\n"),
        form(b'--xyz\r\nContent-Disposition: attachment; name="image"\r\n\r\nx\r\n'),
        form(b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n"),
        form(b'--xyz\r\nContent-Disposition: form-data; name=""\r\n\r\nx\r\n'),
        form(b'--xyz\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n'),
        form(part("a\x1b[31m", b"x")),
        form(part("n" * 65, b"x")),
        form(part("image", PICTURE, *[f"X-{i}: 1" for i in range(8)])),
        form(part("image", PICTURE, "X: " + "y" * 1100)),
        form(*[part("a", b"x")] * 17),
        form(part("image", PICTURE), b"--xyz\r\nbad header\r\n\r\nx\r\n"),
    ],
)
def test_bad_multipart_is_refused(body: bytes) -> None:
    error = refused(FORM, body)
    assert (error.status, error.code) == (400, "invalid_multipart")


@pytest.mark.parametrize("kind", ["multipart/form-data", "multipart/form-data; boundary=", f"{FORM}{'z' * 300}"])
def test_multipart_without_a_sensible_boundary_is_refused(kind: str) -> None:
    assert refused(kind, form(part("image", PICTURE))).code == "invalid_multipart"


@pytest.mark.parametrize(
    ("data", "status"), [(b"x" * 65_536, 200), (b"x" * 65_537, 413), (b"\xff\xfe", 400), (b"a\0b", 400)]
)
def test_text_fields_are_short_utf_8_without_nul(data: bytes, status: int) -> None:
    body = form(part("image", PICTURE), part("note", data))
    if status == 200:
        assert read_upload(FORM, body, LIMITS).fields == {"note": "x" * 65_536}
    else:
        error = refused(FORM, body)
        assert (error.status, error.param) == (status, "note")


@pytest.mark.parametrize(
    "value",
    [
        TEXT,
        f"data:image/png;base64,{TEXT}",
        f"DATA:image/svg+xml;charset=utf-8;base64,{TEXT}",
        f"data:;base64,{TEXT}",
        f"data:application/octet-stream;base64,{TEXT}",
        {"type": "base64", "value": TEXT},
        {"type": "base64", "value": f"data:image/webp;base64,{TEXT}"},
        base64.encodebytes(PICTURE).decode(),
        base64.encodebytes(PICTURE).decode().replace("\n", "\r\n"),
    ],
)
def test_json_pictures_come_in_every_usual_spelling(value: Any) -> None:
    assert read_json({"image": value, "threshold": 0.5}) == Upload((PICTURE,), {"threshold": 0.5}, ("image",))
    assert read_json({"inputs": value, "parameters": {"a": 1}}) == Upload(
        (PICTURE,), {"parameters": {"a": 1}}, ("inputs",)
    )
    for key in ("images", "inputs"):
        assert read_json({key: [value, TEXT]}) == Upload((PICTURE, PICTURE), {}, (f"{key}[0]", f"{key}[1]"))


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("", "image_empty"),
        ("data:image/png;base64,", "image_empty"),
        ("!!!!", "invalid_base64"),
        ("QUJ", "invalid_base64"),
        ("QUI=QUI=", "invalid_base64"),
        ("QU I=", "invalid_base64"),
        ("=QUI", "invalid_base64"),
        ("QUJD====", "invalid_base64"),
        ("QUé=", "invalid_base64"),
        ("file:///etc/passwd", "invalid_base64"),
        ("data:image/png,abc", "invalid_image_field"),
        ("data:text/html;base64,QUJD", "invalid_image_field"),
        ("data:", "invalid_image_field"),
        (5, "invalid_image_field"),
        (None, "invalid_image_field"),
        (True, "invalid_image_field"),
        ([[TEXT]], "invalid_image_field"),
        ({}, "invalid_image_field"),
        ({"type": "base64"}, "invalid_image_field"),
        ({"type": "numpy", "value": TEXT}, "invalid_image_field"),
        ({"type": "base64", "value": 5}, "invalid_image_field"),
        ({"type": "base64", "value": TEXT, "x": 1}, "invalid_image_field"),
        ("http://169.254.169.254/", "url_input_disabled"),
        (" HTTPS://example.com/a.png", "url_input_disabled"),
        ({"type": "url", "value": "https://example.com/a.png"}, "url_input_disabled"),
        ({"type": "base64", "value": "https://example.com/a.png"}, "url_input_disabled"),
    ],
)
def test_bad_json_pictures_are_refused_by_field(value: Any, code: str) -> None:
    for key, body in {"image": {"image": value}, "images[1]": {"images": [TEXT, value]}}.items():
        error = refused("application/json", json.dumps(body).encode())
        assert (error.status, error.code, error.param) == (400, code, key)


def test_url_safe_base64_is_refused_with_a_hint() -> None:
    with pytest.raises(InvalidRequest, match="URL-safe"):
        read_json({"image": base64.urlsafe_b64encode(b"\xff\xfe\xfd" * 4).decode()})


def test_base64_is_measured_before_it_is_decoded() -> None:
    with pytest.raises(TooLarge) as caught:
        read_json({"images": [TEXT, "!" * 4000]}, Limits(body_bytes=2000))
    assert caught.value.param == "images[1]"


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"5", b"null"])
def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert refused("application/json", body).status == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [({"image": TEXT, "images": [TEXT]}, "images"), ({"images": TEXT}, "images"), ({"image": [TEXT]}, "image")],
)
def test_pictures_in_the_wrong_place_are_refused(body: Mapping[str, Any], field: str) -> None:
    assert refused("application/json", json.dumps(body).encode()).param == field


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("image/png", b""),
        ("application/json", b"{}"),
        ("application/json", b'{"images": []}'),
        (FORM, form(part("threshold", b"1"))),
        (FORM, b"--xyz--\r\n"),
    ],
)
def test_a_request_without_a_picture_says_so(content_type: str, body: bytes) -> None:
    error = refused(content_type, body)
    assert (error.status, error.code, error.param) == (400, "missing_image", "image")


def test_too_many_pictures_are_refused_before_any_is_read() -> None:
    few = Limits(images=2)
    assert refused("application/json", json.dumps({"images": ["!"] * 3}).encode(), few).code == "too_many_images"
    assert refused(FORM, form(*[part("image", b"x")] * 3), few).code == "too_many_images"


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/mixed; boundary=xyz", "image", "é"]
)
def test_other_content_types_are_told_the_three_kinds(kind: str) -> None:
    with pytest.raises(UnsupportedMedia) as caught:
        read_upload(kind, PICTURE, LIMITS)
    for known in ("image/*", "multipart/form-data", "application/json"):
        assert known in caught.value.message


lines = st.sampled_from(
    [
        b"--xyz",
        b"--xyz--",
        b'Content-Disposition: form-data; name="image"',
        b'Content-Disposition: form-data; name="a"',
        b"Content-Disposition: form-data; name*=utf-8''a",
        b"X: y",
        b"",
        b"\xff\0",
    ]
)
pictures = (
    st.sampled_from([TEXT, "", "data:", "http://x", {"type": "base64", "value": TEXT}, None, [TEXT], 5]) | st.text()
)
values = st.one_of(pictures, st.lists(pictures, max_size=3), st.dictionaries(st.text(max_size=5), pictures, max_size=3))


@settings(max_examples=300)
@given(st.lists(lines | st.binary(max_size=20), max_size=14), st.sampled_from([b"\r\n", b"\n"]))
def test_any_multipart_gives_an_upload_or_our_own_error(pieces: list[bytes], ending: bytes) -> None:
    try:
        assert read_upload(FORM, ending.join(pieces), LIMITS).images
    except OcelliError as error:
        assert error.status in {400, 413}


@settings(max_examples=300)
@given(st.dictionaries(st.sampled_from(["image", "images", "inputs", "parameters", "x"]), values))
def test_any_json_gives_an_upload_or_our_own_error(body: dict[str, Any]) -> None:
    try:
        upload = read_json(body)
        assert len(upload.images) == len(upload.image_fields) > 0
    except OcelliError as error:
        assert error.status in {400, 413}


@given(st.text(max_size=60), st.binary(max_size=60))
def test_any_content_type_gives_an_upload_or_our_own_error(kind: str, body: bytes) -> None:
    for content_type in (kind, f"image/{kind}", f"multipart/form-data; boundary={kind}", f"application/json;{kind}"):
        try:
            read_upload(content_type, body, LIMITS)
        except OcelliError as error:
            assert error.status in {400, 413, 415}
