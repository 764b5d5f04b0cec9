"""What pydantic found wrong, said in our own sentences: which field, and what to do."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from shared.errors import InvalidRequest

M = TypeVar("M", bound=BaseModel)

SENTENCES = {
    "missing": "is required",
    "extra_forbidden": "is not a field of this request",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a string",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "has characters that are not allowed",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
}


def invalid(errors: Sequence[Mapping[str, Any]], *, skip: int = 0) -> InvalidRequest:
    """The first of pydantic's `errors` as a 400; `skip` leading parts of its location do not name a field."""
    error = errors[0]
    location = error["loc"][skip:]
    param = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    sentence = SENTENCES.get(error["type"], "has a value that is not allowed").format_map(error.get("ctx", {}))
    code = {"extra_forbidden": "unknown_field", "missing": "missing_field"}.get(error["type"])
    return InvalidRequest(f"'{param[:64]}' {sentence}.", code=code, param=param[:64])


def parse(schema: type[M], fields: Mapping[str, Any], *, strict: bool) -> M:
    """`fields` as a `schema`; `strict` where the sender's format has types of its own, as JSON does and a query not."""
    try:
        return schema.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise invalid(error.errors()) from None
