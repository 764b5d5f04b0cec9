"""The header of a safetensors file, read without loading a tensor.

8 bytes  length of the header, little-endian
header   JSON: {name: {dtype, shape, data_offsets: [begin, end]}, "__metadata__": {str: str}}
buffer   the tensors, one after the other, without holes, to the end of the file
"""

import json
import math
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from shared.weights.errors import RefusedVersion

HEADER_BYTES = 100_000_000
WIDTHS = {"BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2} | {
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8
}  # fmt: skip


class Tensor(NamedTuple):
    """A tensor as the header tells it: the number type in safetensors' own spelling, and the shape."""

    dtype: str
    shape: tuple[int, ...]


def tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file by name. Raises `RefusedVersion` unless header and file fit exactly."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        header = _header(file, path.name)
        buffer = size - file.tell()
    spans, found = [], {}
    for name, entry in header.items():
        tensor, span = _entry(entry, f"{path.name}: tensor {name[:120]!r}")
        found[name] = tensor
        spans.append(span)
    position = 0
    for begin, end in sorted(spans):
        if begin != position:
            raise RefusedVersion(f"{path.name}: the tensors overlap or leave holes in the file.")
        position = end
    if position != buffer:
        raise RefusedVersion(f"{path.name}: the header tells of {position} bytes of tensors, the file has {buffer}.")
    return found


def _header(file: BinaryIO, name: str) -> dict[str, Any]:
    length = int.from_bytes(file.read(8), "little")
    if length > HEADER_BYTES:
        raise RefusedVersion(f"{name}: not a safetensors file, or a header over {HEADER_BYTES} bytes.")
    data = file.read(length)
    if len(data) != length or not data.startswith(b"{"):
        raise RefusedVersion(f"{name}: not a safetensors file, or one that was cut off.")
    try:
        header: dict[str, Any] = json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise RefusedVersion(f"{name}: the header is not JSON with each name once.") from error
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise RefusedVersion(f"{name}: __metadata__ may hold text only.")
    return header


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a key appears twice")
    return fields


def _entry(entry: Any, where: str) -> tuple[Tensor, tuple[int, int]]:
    """One entry of the header, and its place in the buffer."""
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(begin), int(end)], **rest} if not rest:
            pass
        case _:
            raise RefusedVersion(f"{where}: needs dtype, shape and data_offsets, and nothing else.")
    if dtype not in WIDTHS:
        raise RefusedVersion(f"{where}: {dtype[:20]!r} is not a known number type.")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise RefusedVersion(f"{where}: the shape is not a list of whole numbers.")
    if begin < 0 or end - begin != WIDTHS[dtype] * math.prod(shape):
        raise RefusedVersion(f"{where}: its place in the file does not fit its shape.")
    return Tensor(dtype, tuple(shape)), (begin, end)
