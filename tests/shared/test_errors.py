"""The error tree: one body, and no status without a sentence."""

import pickle

import pytest

from shared import errors
from shared.serving.answers import error_answer

KINDS = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, errors.OcelliError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_code_a_sentence_and_survives_pickling(kind: type[errors.OcelliError]) -> None:
    error = kind(param="image")
    assert error.message.endswith(".") and error.code.islower() and 400 <= error.status < 600
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.message, copy.code, copy.param) == (kind, error.message, error.code, "image")


@pytest.mark.parametrize(("seconds", "header"), [(None, b"1"), (0.2, b"1"), (4.1, b"5"), (1e9, b"30")])
def test_retry_after_is_whole_seconds_from_1_to_30(seconds: float | None, header: bytes) -> None:
    _, headers, _ = error_answer(errors.Unavailable(retry_after=seconds), {"path": "/"})
    assert dict(headers)[b"retry-after"] == header


def test_what_will_not_help_is_not_to_be_retried() -> None:
    for kind in KINDS:
        _, headers, _ = error_answer(kind(), {"path": "/"})
        retry = dict(headers)[b"x-should-retry"] == b"true"
        assert retry == (kind.status in {408, 429, 502, 503, 504})
