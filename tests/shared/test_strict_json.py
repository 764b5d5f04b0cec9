"""Strict JSON: what is read, what is refused, and that the refusal says where without echoing content."""

import base64
import json
import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import InvalidRequest
from shared.strict_json import MAX_VALUES, loads

DEPTH = 32


def refused(body: bytes, depth: int = DEPTH) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        loads(body, depth=depth)
    assert caught.value.code == "invalid_json"
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b" [1, -2.5e3, true, false, null] ",
        b'{"a": {"a": {"a": [[]]}}}',
        b'"\\ud83d\\ude00"',
        '"\U0001f600 é"'.encode(),
        b'"data:image/png;base64,iVBORw0KGgo="',
        b"9223372036854775807",
        b"-9223372036854775808",
        b"1e-999",
        b"[" * DEPTH + b"]" * DEPTH,
    ],
)
def test_valid_json_is_read_as_the_standard_module_reads_it(body: bytes) -> None:
    assert loads(body, depth=DEPTH) == json.loads(body)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b"{'a': 1}",
        b'{"a" 1}',
        b'{"a": 1} x',
        b"{}{}",
        b"{}\0",
        b"\xef\xbb\xbf{}",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"nan",
        b"tru",
        b'"a\nb"',
        b'"a\tb"',
        b'"\\x41"',
        b'"\\u12"',
        b"// a\n{}",
        "{}".encode("utf-16-be"),
    ],
)
def test_malformed_json_is_refused_with_line_and_column(body: bytes) -> None:
    assert "at line 1, column" in refused(body).message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-32-be"])
def test_other_encodings_than_utf_8_are_refused(encoding: str) -> None:
    refused('{"é": "ü"}'.encode(encoding))


@pytest.mark.parametrize("body", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"\xe9"'])
def test_bytes_that_are_not_utf_8_are_refused_with_their_place(body: bytes) -> None:
    assert "not UTF-8 at byte 1" in refused(body).message


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e400", b"9" * 400 + b".0"])
def test_numbers_that_are_not_finite_are_refused(number: bytes) -> None:
    refused(b'{"threshold": ' + number + b"}")


@pytest.mark.parametrize("digits", [20, 4301, 1_000_000])
def test_endless_integers_are_refused_at_once(digits: int) -> None:
    began = time.thread_time()
    assert "19 digits" in refused(b"[-" + b"7" * digits + b"]").message
    assert time.thread_time() - began < 0.1


@pytest.mark.parametrize(
    ("body", "field"),
    [(b'{"a": 1, "a": 1}', "a"), (b'{"x": [{"b": 1, "c": 2, "b": 3}]}', "b"), (b'{"a": 1, "\\u0061": 2}', "a")],
)
def test_duplicate_keys_are_refused_by_name(body: bytes, field: str) -> None:
    assert refused(body).param == field


@pytest.mark.parametrize(
    "body", [b"[" * 33 + b"]" * 33, b'{"a":' * 33 + b"1" + b"}" * 33, b"[" * 90_000 + b"]" * 90_000, b'[{"a":' * 40_000]
)
def test_deep_nesting_is_refused(body: bytes) -> None:
    assert "nested too deep" in refused(body).message


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"text": "\\ud800"}', "text"),
        (b'{"labels": ["a", "\\udc00\\ud800"]}', "labels[1]"),
        (b'{"a": {"b": "x\\u0000"}}', "a.b"),
        (b'{"\\ud800": 1}', None),
        (b'{"a\\u0000": 1}', None),
    ],
)
def test_half_surrogates_and_nul_are_refused_by_field(body: bytes, field: str | None) -> None:
    assert refused(body).param == field


def test_a_flood_of_values_is_refused_before_it_is_parsed() -> None:
    body = b"[" + b"1," * 5_000_000 + b"1]"
    began = time.thread_time()
    assert f"{MAX_VALUES:,}" in refused(body).message
    assert time.thread_time() - began < 0.1


def test_content_is_never_echoed() -> None:
    secret = "s3cret" * 20
    for body in (f'{{"{secret}": 1, "{secret}": 2}}', f'{{"a": "{secret}', f'{{"{secret}": "\\u0000"}}'):
        error = refused(body.encode())
        assert secret not in f"{error.message}{error.param}"


def test_a_megabyte_of_base64_takes_milliseconds() -> None:
    body = json.dumps({"image": base64.b64encode(os.urandom(1_000_000)).decode()}).encode()
    seconds = []
    for _ in range(5):
        began = time.thread_time()
        loads(body, depth=DEPTH)
        seconds.append(time.thread_time() - began)
    assert min(seconds) < 0.02


leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0"))
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)


@given(st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4)))
def test_whatever_json_can_say_survives_the_round_trip(value: object) -> None:
    assert loads(json.dumps(value, ensure_ascii=False).encode(), depth=DEPTH) == value


@given(st.binary(max_size=80) | st.text('{}[]",:\\u0018dDeE+-.naN ', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_our_own_error(body: bytes) -> None:
    try:
        loads(body, depth=DEPTH)
    except InvalidRequest as error:
        assert error.code == "invalid_json"
