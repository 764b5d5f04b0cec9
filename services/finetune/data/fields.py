"""Typed values out of the JSON of a row; each refusal names the field and says what to write.

All functions raise `BrokenRow`.
"""

from collections.abc import Mapping
from typing import Any

from services.finetune.data.errors import BrokenRow

Fields = Mapping[str, Any]
MAX_LABEL = 64  # characters, as the services take them
MAX_TEXT = 4096
MAX_TURN = 32_768
MAX_NUMBER = 10**9
MAX_ID = 64  # characters, or bits

_KINDS: dict[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
    type(None): "null",
}


def named(fields: Fields, *names: str) -> tuple[str, Any]:
    """The first of `names` that is there, with its value."""
    for name in names:
        if name in fields:
            return name, fields[name]
    raise BrokenRow(f"{' or '.join(map(repr, names))} is missing. Add it.")


def text(fields: Fields, *names: str, most: int = MAX_TEXT) -> str:
    """The text of the first of `names`: not blank, of at most `most` characters."""
    name, value = named(fields, *names)
    return checked_text(value, name, most=most)


def checked_text(value: object, name: str, *, most: int) -> str:
    """`value` as a text that any tokenizer and any file takes."""
    if not isinstance(value, str):
        raise wrong_type(value, name, "a text")
    if not value.strip():
        raise BrokenRow(f"'{name}' is empty. Write a text, or remove the row.")
    if len(value) > most:
        raise BrokenRow(f"'{name}' has {len(value):,} characters. Shorten it to {most:,}.")
    if "\0" in value:
        raise BrokenRow(f"'{name}' has a NUL character. Remove it.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BrokenRow(f"'{name}' has half a surrogate pair. Write the character as it is, in UTF-8.")
    return value


def identifier(fields: Fields, name: str) -> int | str:
    """A whole number or a text that other rows refer to."""
    _, value = named(fields, name)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(value, name, "a whole number")
    if (len(value) if isinstance(value, str) else value.bit_length()) > MAX_ID:
        raise BrokenRow(f"'{name}' is too long. Number the entries anew.")
    return value


def listed(fields: Fields, *names: str) -> list[Any]:
    """The list of the first of `names`."""
    name, value = named(fields, *names)
    if not isinstance(value, list):
        raise wrong_type(value, name, "a list")
    return value


def size(fields: Fields) -> tuple[int, int] | None:
    """Width and height in pixels, where the row tells them."""
    if fields.get("width") is None and fields.get("height") is None:
        return None
    sides = []
    for name in ("width", "height"):
        _, value = named(fields, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise BrokenRow(f"'{name}' must be a whole number of pixels above 0. Correct it, or leave out both sides.")
        sides.append(value)
    return sides[0], sides[1]


def numbers(value: object, name: str) -> list[float]:
    """A list of finite numbers."""
    if not isinstance(value, list):
        raise wrong_type(value, name, "a list of numbers")
    for item in value:
        if isinstance(item, bool) or not isinstance(item, int | float):
            raise wrong_type(item, f"{name}[…]", "a number")
        if not abs(item) <= MAX_NUMBER:  # so that NaN is refused, too
            raise BrokenRow(f"'{name}' has a number that is not finite, or beyond a billion. Write pixels.")
    return [float(item) for item in value]


def wrong_type(value: object, name: str, wanted: str) -> BrokenRow:
    """A field of the wrong JSON type."""
    return BrokenRow(f"'{name}' must be {wanted}, not {_KINDS.get(type(value), 'this')}. Change its type.")
