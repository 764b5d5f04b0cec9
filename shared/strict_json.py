"""JSON as a request may carry it: UTF-8, finite, shallow, without duplicate keys, and nothing after the value.

The standard module accepts NaN, duplicate keys, lone surrogates and thousand-digit integers; each of these has broken
some service behind a lenient one. Flow: bound the number of values by counting separators -> parse with strict hooks ->
walk the (bounded) tree for depth and for characters that no later UTF-8 encoder or C string would take.
"""

import json
import math
from typing import Any, NoReturn

from shared.errors import InvalidRequest

MAX_VALUES = 100_000  # parsing costs about a microsecond per value, on the thread that serves everybody
MAX_DIGITS = 19  # of an integer: what 64 bits surely hold


def loads(body: bytes, *, depth: int) -> Any:
    """The value in `body`, with at most `depth` nested arrays and objects.

    Raises `InvalidRequest` (code `invalid_json`), which names the line and column or the field.
    """
    if sum(body.count(separator) for separator in (b",", b"[", b"{")) > MAX_VALUES:
        _refuse(f"has more than {MAX_VALUES:,} values. Send less at once")
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError as error:
        _refuse(f"is not UTF-8 at byte {error.start}. Encode it as UTF-8", error)
    except json.JSONDecodeError as error:
        _refuse(f"is malformed at line {error.lineno}, column {error.colno}", error)
    except RecursionError as error:
        _refuse(f"is nested too deep. At most {depth} levels are read", error)
    _check(value, "", depth)
    return value


def _check(value: Any, path: str, depth: int) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            _refuse("has half a surrogate pair. Escape characters beyond U+FFFF as two halves", error, param=path)
        if "\0" in value:
            _refuse("has a NUL character in a string. Remove it", param=path)
    elif isinstance(value, (dict, list)):
        if not depth:
            _refuse("is nested too deep. Flatten it", param=path)
        if isinstance(value, dict):
            for name, item in value.items():
                _check(name, path, depth - 1)
                _check(item, f"{path}.{name}" if path else name, depth - 1)
        else:
            for index, item in enumerate(value):
                _check(item, f"{path}[{index}]", depth - 1)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            _refuse("names a field twice. Send each field once", param=name)
        found[name] = value
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        _refuse(f"has an integer of more than {MAX_DIGITS} digits. Send a smaller number")
    return int(digits)


def _real(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _refuse("has a number beyond the range of a double. Send a smaller number")
    return number


def _constant(_: str) -> NoReturn:
    _refuse("has NaN or Infinity, which JSON does not know. Send a finite number or null")


def _refuse(what: str, cause: Exception | None = None, *, param: str | None = None) -> NoReturn:
    """Raise our error; a field's name is echoed only where it is short and plain."""
    plain = param if param and len(param) <= 64 and param.isascii() and param.isprintable() else None
    raise InvalidRequest(f"The JSON body {what}.", code="invalid_json", param=plain) from cause


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_constant, strict=True
)
