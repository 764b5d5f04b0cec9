"""What `input` of an embeddings request may be, and the name that each item has in errors."""

import base64
from typing import Any

import pytest

from services.clip.inputs import read_inputs
from services.clip.items import Item
from shared.errors import InvalidRequest
from shared.settings import Limits

DATA = b"any bytes: nothing is decoded here"
TEXT = base64.b64encode(DATA).decode()
URI = f"data:image/png;base64,{TEXT}"


@pytest.mark.parametrize(
    ("value", "modality", "items"),
    [
        ("a cat", None, [Item("a cat", None, "input")]),
        (URI, None, [Item(None, DATA, "input")]),
        (URI.replace("data:image", "DATA:Image"), None, [Item(None, DATA, "input")]),
        (URI, "text", [Item(URI, None, "input")]),
        (TEXT, "image", [Item(None, DATA, "input")]),
        ("data: the new oil", None, [Item("data: the new oil", None, "input")]),
        ("https://example.com", None, [Item("https://example.com", None, "input")]),
        ({"image": TEXT}, None, [Item(None, DATA, "input.image")]),
        ({"text": "a cat"}, "image", [Item("a cat", None, "input.text")]),
        ([{"image": {"type": "base64", "value": TEXT}}], None, [Item(None, DATA, "input[0].image")]),
        (
            ["a cat", URI, {"text": URI}],
            None,
            [Item("a cat", None, "input[0]"), Item(None, DATA, "input[1]"), Item(URI, None, "input[2].text")],
        ),
    ],
)
def test_texts_and_pictures_are_told_apart(value: Any, modality: Any, items: list[Item]) -> None:
    assert read_inputs(value, modality, Limits()) == items


def test_the_number_of_texts_and_of_pictures_is_bounded_each_alone() -> None:
    limits = Limits(images=2)
    assert len(read_inputs(["a"] * 64 + [URI] * 2, None, limits)) == 66
    with pytest.raises(InvalidRequest, match="65 texts"):
        read_inputs(["a"] * 65, None, limits)
    with pytest.raises(InvalidRequest, match="3 pictures"):
        read_inputs([URI, {"image": "not looked at"}, URI], None, limits)
