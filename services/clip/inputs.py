"""`input` of an embeddings request as items for the model: texts and pictures, mixed, in their order.

"a text"   "data:image/png;base64,…"   {"text": "…"}   {"image": "<base64 or data URI>"}   or a list of these
"""

from collections import Counter
from typing import Any, Literal, NoReturn

from services.clip.items import Item
from services.clip.schemas import MAX_TEXT, MAX_TEXTS
from shared.errors import InvalidRequest
from shared.images.inline import read_inline
from shared.settings import Limits

Modality = Literal["text", "image"]
NOT_READ = 'must be a text, {"text": "…"} or {"image": "<base64>"}'


def read_inputs(value: Any, modality: Modality | None, limits: Limits) -> list[Item]:
    """The items of `input`; `modality` tells what its plain strings are. Nothing is decoded here.

    Raises `InvalidRequest` and the errors of `read_inline`, whose `param` is like `input[3].image`.
    """
    if value is None:
        raise InvalidRequest("'input' is required: a text, or a list.", code="missing_field", param="input")
    if isinstance(value, list):
        named = {f"input[{number}]": one for number, one in enumerate(value)}
    else:
        named = {"input": value}
    if not named:
        _refuse("is an empty list. Send at least one text or picture", "input")
    _check_count(value if isinstance(value, list) else [value], modality, limits)
    return [_item(one, field, modality, limits) for field, one in named.items()]


def read_text(text: Any, field: str) -> Item:
    """One text as an item. Raises `InvalidRequest`."""
    if not isinstance(text, str):
        _refuse("must be a text", field)
    if not text.strip():
        _refuse("is empty. Send a text with at least one character that is not blank", field)
    if len(text) > MAX_TEXT:
        _refuse(f"has more than {MAX_TEXT:,} characters. Shorten it", field)
    return Item(text=text, data=None, field=field)


def _check_count(values: list[Any], modality: Modality | None, limits: Limits) -> None:
    """Refuse too many inputs before any picture among them is read."""
    kinds = Counter(_kind(value, modality) for value in values)
    texts, images = kinds["text"], kinds["image"]
    if texts > MAX_TEXTS:
        raise InvalidRequest(
            f"There are {texts} texts in 'input'. Send at most {MAX_TEXTS}.", code="too_many_texts", param="input"
        )
    if images > limits.images:
        raise InvalidRequest(
            f"There are {images} pictures in 'input'. Send at most {limits.images}.",
            code="too_many_images",
            param="input",
        )


def _kind(value: Any, modality: Modality | None) -> Modality | None:
    """What `value` is, or None for what is neither."""
    if isinstance(value, dict):
        return "image" if "image" in value else "text"
    if not isinstance(value, str):
        return None
    return modality or ("image" if value[:11].lower() == "data:image/" else "text")


def _item(value: Any, field: str, modality: Modality | None, limits: Limits) -> Item:
    if isinstance(value, int | float | list):
        _refuse("is no text, and token arrays are not read here. Send the text itself", field)
    kind = _kind(value, modality)
    if kind is None:
        _refuse(NOT_READ, field)
    if isinstance(value, dict):
        if value.keys() != {kind}:
            _refuse(NOT_READ, field)
        value, field = value[kind], f"{field}.{kind}"
    return read_text(value, field) if kind == "text" else Item(None, read_inline(value, field, limits), field)


def _refuse(what: str, field: str) -> NoReturn:
    raise InvalidRequest(f"'{field}' {what}.", param=field)
