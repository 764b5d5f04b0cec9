"""A request body, in any of three kinds, as encoded pictures and the fields that came with them.

    image/*, application/octet-stream   the body is the picture; there are no fields
    multipart/form-data                 parts named like a picture; all others are text and stay strings, but those
                                        that the caller of `read_upload` names `binary` may be bytes
    application/json                    `image`, `images` or `inputs` hold base64; all others are fields as they are

Nothing is decoded here. `image_fields` names each picture as the caller knows it, for errors that come later.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from shared import strict_json
from shared.errors import InvalidRequest, TooLarge, UnsupportedMedia
from shared.images import multipart
from shared.images.inline import read_inline
from shared.settings import Limits

PICTURE_PARTS = frozenset({"file", "files", "image", "images", "image[]", "images[]"})
PICTURE_KEYS = ("image", "images", "inputs")  # `inputs` is Hugging Face's
MAX_TEXT_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Upload:
    """Pictures as they came (not decoded), the name of each, and the other fields of the request."""

    images: tuple[bytes, ...]
    fields: Mapping[str, Any]
    image_fields: tuple[str, ...]


def read_upload(content_type: str, body: bytes, limits: Limits, *, binary: Collection[str] = ()) -> Upload:
    """Take `body` apart by its `content_type`; at least one picture is in what comes back.

    Of a form, the fields named in `binary` come as bytes, unless they are plain text.
    Raises `InvalidRequest` (400), `TooLarge` (413) or `UnsupportedMedia` (415).
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        upload = _from_multipart(content_type, body, limits, binary=binary)
    else:
        upload = _reader(kind)(body, limits)
    if not upload.images:
        raise InvalidRequest(
            "There is no picture in the request. Send one as 'image'.", code="missing_image", param="image"
        )
    return upload


def _reader(kind: str) -> Callable[[bytes, Limits], Upload]:
    if kind == "application/json":
        return _from_json
    if kind.startswith("image/") or kind == "application/octet-stream":
        return _from_raw
    raise UnsupportedMedia(
        "The Content-Type must be image/* (or application/octet-stream) with the picture as the body,"
        " multipart/form-data with a part 'image', or application/json with a field 'image'."
    )


def _from_raw(body: bytes, _: Limits) -> Upload:
    return Upload((body,), {}, ("image",)) if body else Upload((), {}, ())


def _from_multipart(content_type: str, body: bytes, limits: Limits, *, binary: Collection[str]) -> Upload:
    parts = multipart.split(content_type, body, limits)
    pictures = [part for part in parts if part.name in PICTURE_PARTS]
    _check_count(len(pictures), "images", limits)
    fields: dict[str, Any] = {}
    for part in parts:
        if part.name not in PICTURE_PARTS:
            _add(fields, part.name, part.data if part.name in binary and _is_binary(part.data) else _text(part, binary))
    return Upload(tuple(part.data for part in pictures), fields, _numbered([part.name for part in pictures]))


def _from_json(body: bytes, limits: Limits) -> Upload:
    fields = strict_json.loads(body, depth=limits.json_depth)
    if not isinstance(fields, dict):
        raise InvalidRequest('The JSON body must be an object, like {"image": "<base64>"}.')
    present = [key for key in PICTURE_KEYS if key in fields]
    if len(present) > 1:
        raise InvalidRequest(f"Send pictures in one field, not in {' and '.join(present)}.", param=present[1])
    named = _json_pictures(fields.pop(present[0]), present[0], limits) if present else {}
    images = tuple(read_inline(value, name, limits) for name, value in named.items())
    return Upload(images, fields, tuple(named))


def _json_pictures(value: Any, key: str, limits: Limits) -> dict[str, Any]:
    """The still encoded pictures of one field, each under the name that an error gives it."""
    if isinstance(value, list) and key != "image":
        _check_count(len(value), key, limits)
        return {f"{key}[{index}]": item for index, item in enumerate(value)}
    if key == "images":
        raise InvalidRequest("'images' must be a list of pictures. Send a single one as 'image'.", param=key)
    return {key: value}


def _numbered(names: list[str]) -> tuple[str, ...]:
    """`image`, or `image[0]`, `image[1]` where a name repeats."""
    plain = [name.removesuffix("[]") for name in names]
    total, seen = Counter(plain), Counter[str]()
    numbered = []
    for name in plain:
        numbered.append(f"{name}[{seen[name]}]" if total[name] > 1 else name)
        seen[name] += 1
    return tuple(numbered)


def _is_binary(data: bytes) -> bool:
    """Whether these are a picture's own bytes, not base64: a file of any format has some that are not text."""
    return not data.isascii() or b"\0" in data


def _text(part: multipart.Part, binary: Collection[str]) -> str:
    if len(part.data) > MAX_TEXT_BYTES and part.name not in binary:
        raise TooLarge(
            f"A text field is longer than {MAX_TEXT_BYTES:,} bytes. Shorten it.",
            code="field_too_large",
            param=part.name,
        )
    try:
        text = part.data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "A text field is not UTF-8. Pictures go into parts named 'image'.", param=part.name
        ) from error
    if "\0" in text:
        raise InvalidRequest("A text field has a NUL character. Remove it.", param=part.name)
    return text


def _add(fields: dict[str, Any], name: str, text: str | bytes) -> None:
    """One text part is a string; a repeated one is a list, as HTML forms send lists."""
    if name not in fields:
        fields[name] = text
    elif isinstance(fields[name], list):
        fields[name].append(text)
    else:
        fields[name] = [fields[name], text]


def _check_count(count: int, field: str, limits: Limits) -> None:
    if count > limits.images:
        message = f"There are {count} pictures in the request. Send at most {limits.images}."
        raise InvalidRequest(message, code="too_many_images", param=field)
