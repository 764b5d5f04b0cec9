"""What the tests of the store publish: the card of a version, and safetensors files written by hand."""

import json

from shared.weights.manifest import Card, Made

HEADER = {
    "weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "bias": {"dtype": "F16", "shape": [2], "data_offsets": [24, 28]},
}


def encode(header: object, buffer: bytes) -> bytes:
    data = json.dumps(header).encode()
    return len(data).to_bytes(8, "little") + data + buffer


def card(version: str = "v1", model: str = "clip") -> Card:
    return Card(model=model, version=version, made=Made(by="a test"), metrics={"mAP50": 0.9})
