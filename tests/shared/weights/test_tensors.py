"""The safetensors header: what the library writes is read, and what no library writes is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from shared.weights.errors import RefusedVersion
from shared.weights.tensors import HEADER_BYTES, Tensor, tensors
from tests.shared.weights.samples import HEADER, encode


def test_the_names_types_and_shapes_are_those_that_were_saved(tmp_path: Path) -> None:
    arrays: dict[str, np.ndarray[Any, np.dtype[Any]]] = {
        "a": np.zeros((2, 3), np.float16),
        "b": np.ones((), np.int64),
        "none": np.zeros((0, 4), np.float32),
    }
    save_file(arrays, tmp_path / "x.safetensors", metadata={"format": "np"})
    assert tensors(tmp_path / "x.safetensors") == {
        "a": Tensor("F16", (2, 3)),
        "b": Tensor("I64", ()),
        "none": Tensor("F32", (0, 4)),
    }


def entry(**changes: object) -> dict[str, object]:
    return {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}


DUPLICATE = (
    b'{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02}q\x00.",
        (HEADER_BYTES + 1).to_bytes(8, "little") + b"{",
        (2**64 - 1).to_bytes(8, "little"),
        (50).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
        (200_000).to_bytes(8, "little") + b'{"a":' * 40_000,
        len(DUPLICATE).to_bytes(8, "little") + DUPLICATE + bytes(8),
        encode(entry(), bytes(7)),
        encode(entry(), bytes(9)),
        encode(entry(data_offsets=[0, 1 << 40]), bytes(8)),
        encode(entry(data_offsets=[-8, 0]), bytes(8)),
        encode(entry(data_offsets=[8, 0]), bytes(8)),
        encode(entry(data_offsets=[0, 8, 9]), bytes(8)),
        encode(entry(data_offsets=[4, 12]), bytes(12)),
        encode(entry(shape=[-2]), bytes(8)),
        encode(entry(shape=[2.0]), bytes(8)),
        encode(entry(shape=[True, 2]), bytes(8)),
        encode(entry(shape=[1 << 62, 1 << 62]), bytes(8)),
        encode(entry(dtype="PICKLE"), bytes(8)),
        encode(entry(code="x"), bytes(8)),
        encode({"x": 1}, b""),
        encode(entry() | {"__metadata__": {"epoch": 3}}, bytes(8)),
        encode(entry() | {"__metadata__": "text"}, bytes(8)),
        (4).to_bytes(8, "little") + "{}".encode("utf-16-le"),
        encode(entry() | {"y": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, bytes(8)),
    ],
)
def test_a_file_that_its_header_does_not_describe_exactly_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    with pytest.raises(RefusedVersion, match=r"^x\.safetensors"):
        tensors(path)


def test_a_sound_header_written_by_hand_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(encode(HEADER | {"__metadata__": {"format": "pt"}}, bytes(28)))
    assert tensors(path) == {"weight": Tensor("F32", (2, 3)), "bias": Tensor("F16", (2,))}
