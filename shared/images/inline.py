"""Pictures inside JSON: bare base64, a data URI, or `{"type": "base64", "value": …}`.

A URL is refused: fetching it would make this service a client of whatever the caller names.
"""

import binascii
import re
from typing import Any, NoReturn

from shared.errors import InvalidImage, InvalidRequest, TooLarge
from shared.images import faults
from shared.settings import Limits

_URL = re.compile(r"\s*https?:", re.IGNORECASE)
_DATA_URI = re.compile(
    r"data:(?:image/[\w.+-]{1,64}|application/octet-stream)?(?:;[\w.+=-]{1,64})*?;base64,", re.IGNORECASE
)


def read_inline(value: Any, field: str, limits: Limits) -> bytes:
    """The bytes of the picture in `value`, not yet decoded; `field` is what an error names as its `param`.

    Raises `InvalidRequest` (codes `invalid_image_field`, `invalid_base64`, `url_input_disabled`), `TooLarge`.
    """
    if isinstance(value, dict):
        if value.get("type") == "url":
            _refuse_url(field)
        if value.keys() != {"type", "value"} or value["type"] != "base64":
            _refuse('must be {"type": "base64", "value": "…"} where it is an object', "invalid_image_field", field)
        value = value["value"]
    if not isinstance(value, str):
        _refuse("must be a string: base64 or a data URI", "invalid_image_field", field)
    if _URL.match(value):
        _refuse_url(field)
    return _from_base64(_payload(value, field), field, limits)


def _payload(text: str, field: str) -> str:
    """The base64 of a data URI, or the text itself."""
    if text[:5].lower() != "data:":
        return text
    found = _DATA_URI.match(text)
    if not found:
        _refuse("must begin like data:image/png;base64, where it is a data URI", "invalid_image_field", field)
    return text[found.end() :]


def _from_base64(text: str, field: str, limits: Limits) -> bytes:
    if "\n" in text:  # the base64 command and MIME encoders break lines after 76 characters
        text = text.replace("\r", "").replace("\n", "")
    if not text:
        error = faults.empty()
        error.param = field
        raise error
    if len(text) // 4 * 3 > limits.body_bytes:
        raise TooLarge(f"'{field}' is larger than {limits.body_bytes:,} bytes. Send a smaller picture.", param=field)
    if "-" in text or "_" in text:
        _refuse("uses the URL-safe alphabet. Send standard base64, with + and /", "invalid_base64", field)
    try:
        if len(text) % 4 == 0 and not text.endswith("==="):  # which the strict mode lets pass
            return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        pass
    _refuse("is not valid base64. Send standard base64 with its padding", "invalid_base64", field)


def _refuse(what: str, code: str, field: str) -> NoReturn:
    raise InvalidImage(f"'{field}' {what}.", code=code, param=field)


def _refuse_url(field: str) -> NoReturn:
    message = f"'{field}' is a URL, and URL input is off here. Send the picture itself, as base64 or multipart."
    raise InvalidRequest(message, code="url_input_disabled", param=field)
