"""A manifest: its canonical bytes, its identity, and what it refuses to say."""

import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.weights.errors import BadName, RefusedVersion
from shared.weights.manifest import Card, File, Made, Manifest
from shared.weights.names import Reference, parse

SHA = "0" * 64


def manifest(**fields: object) -> Manifest:
    files = {"model.safetensors": File(sha256=SHA, bytes=7), "config.json": File(sha256=SHA, bytes=2)}
    whole = {"model": "clip", "version": "v1", "made": {"by": "me", "at": "2026-01-02T03:04:05Z"}, "files": files}
    return Manifest.model_validate(whole | fields)


def test_the_digest_is_the_sha256_of_the_bytes_on_disk() -> None:
    one = manifest()
    assert one.digest == "sha256:" + hashlib.sha256(one.encode()).hexdigest()


def test_the_bytes_are_canonical_whatever_the_order_of_the_fields() -> None:
    one = manifest(metrics={"a": 1, "b": 2})
    other = manifest(metrics={"b": 2, "a": 1}, files=dict(reversed(one.files.items())))
    assert one.encode() == other.encode()
    assert Manifest.parse(one.encode()) == one


def test_every_field_changes_the_digest() -> None:
    fields: list[dict[str, object]] = [
        {"version": "v2"},
        {"metrics": {"mAP50": 0.5}},
        {"base": "clip@v0"},
        {"data": {"description": "shapes"}},
        {"files": {"config.json": {"sha256": "1" * 64, "bytes": 2}}},
    ]
    digests = {manifest(**field).digest for field in fields} | {manifest().digest}
    assert len(digests) == len(fields) + 1


@pytest.mark.parametrize(
    "path",
    [
        "../x.json",
        "/etc/x.json",
        "a/../../x.json",
        "a//x.json",
        ".hidden.json",
        "a\\b.json",
        "x.json\n",
        "manifest.json",
        "model.bin",
        "model.pt",
        "model.pkl",
        "run.py",
        "template.jinja",
        "x.json.gz",
        "a/b/c/d/e.json",
        "",
    ],
)
def test_a_file_that_no_version_may_hold_is_refused(path: str) -> None:
    with pytest.raises(ValidationError):
        manifest(files={path: {"sha256": SHA, "bytes": 1}})


@pytest.mark.parametrize(
    "fields",
    [
        {"metrics": {"mAP50": float("nan")}},
        {"metrics": {"mAP50": float("inf")}},
        {"unknown": 1},
        {"format": 2},
        {"files": {}},
        {"version": "champion"},
        {"model": "../clip"},
        {"made": {"by": "me", "at": "2026-01-02T03:04:05"}},
    ],
)
def test_a_manifest_that_this_release_cannot_stand_for_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        manifest(**fields)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"format": 1}', b"\xff\xfe", b"[" * 100_000])
def test_bytes_that_are_no_manifest_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(RefusedVersion, match="Not a manifest"):
        Manifest.parse(data)


def test_the_bytes_are_readable_json() -> None:
    assert json.loads(manifest().encode())["files"]["config.json"] == {"bytes": 2, "sha256": SHA}


@pytest.mark.parametrize(
    ("text", "model", "selector"),
    [
        ("clip", "clip", "champion"),
        ("clip@previous", "clip", "previous"),
        ("mask-rcnn@shapes-1", "mask-rcnn", "shapes-1"),
        ("clip@sha256:3fa9c1", "clip", "sha256:3fa9c1"),
    ],
)
def test_a_reference_names_a_model_and_what_selects_the_version(text: str, model: str, selector: str) -> None:
    assert parse(text) == Reference(model, selector)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@v1",
        "clip@",
        "Clip",
        "a/b",
        "..",
        "clip@..",
        "clip@a@b",
        "clip@sha256:xyz",
        "clip@sha256:12345",
        "-a",
        "a" * 65,
        "clip\n",
    ],
)
def test_a_name_that_could_leave_the_store_is_refused(text: str) -> None:
    with pytest.raises(BadName):
        parse(text)


@given(st.text("az09.-_/\\ \n\0Aé²", max_size=6))
def test_no_accepted_name_is_more_than_one_plain_path_segment(text: str) -> None:
    try:
        made = Card(model=text, version="v1", made=Made(by="me"))
    except ValidationError:
        return
    assert made.model.isascii() and made.model[0].isalnum() and not set(made.model) & set("/\\ \n\0")
