"""Wrong fields, in our own sentences."""

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import InvalidRequest
from shared.serving.validation import parse


class Inner(BaseModel):
    size: int


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    threshold: float = Field(0.5, ge=0, le=1)
    names: list[str] = Field([], max_length=2)
    inner: list[Inner] = []


@pytest.mark.parametrize(
    ("fields", "param", "sentence", "code"),
    [
        ({"threshold": 2}, "threshold", "'threshold' must be at most 1.0.", "invalid_request"),
        ({"threshold": "x"}, "threshold", "'threshold' must be a number.", "invalid_request"),
        ({"threshold": float("nan")}, "threshold", "'threshold' must be a finite number.", "invalid_request"),
        ({"treshold": 1}, "treshold", "'treshold' is not a field of this request.", "unknown_field"),
        ({"names": ["a"] * 3}, "names", "'names' must have at most 2 items.", "invalid_request"),
        ({"names": [1]}, "names[0]", "'names[0]' must be a string.", "invalid_request"),
        ({"inner": [{}]}, "inner[0].size", "'inner[0].size' is required.", "missing_field"),
        ({"a" * 500: 1}, "a" * 64, f"'{'a' * 64}' is not a field of this request.", "unknown_field"),
    ],
)
def test_a_wrong_field_is_named_with_what_to_do(fields: dict[str, Any], param: str, sentence: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(Wish, fields, strict=True)
    assert (caught.value.param, caught.value.message, caught.value.code) == (param, sentence, code)


def test_a_query_may_write_numbers_as_text_and_json_may_not() -> None:
    assert parse(Wish, {"threshold": "0.25"}, strict=False).threshold == 0.25
    assert parse(Wish, {"threshold": 1}, strict=True).threshold == 1
    for value in ("0.25", True):
        with pytest.raises(InvalidRequest):
            parse(Wish, {"threshold": value}, strict=True)
