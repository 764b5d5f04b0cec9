"""The README's samples of training data are read as they stand there; no value in any field ends the reading."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.finetune.data.formats import read
from services.finetune.errors import DataError
from tests.services.finetune.data.pictures import coco_file, pictures, png, put

README = Path(__file__).resolve().parents[4] / "README.md"
SAMPLES = re.findall(
    r"```json\n(.*?)```", README.read_text().partition("## Your own data")[2].partition("\n## ")[0], re.DOTALL
)


NAMES = ("annotations.json", "metadata.jsonl", "pairs.jsonl", "chats.jsonl")


@pytest.mark.parametrize(
    ("sample", "name", "task"), list(zip(SAMPLES, NAMES, ("detection", "owlvit", "clip", "llava"), strict=True))
)
def test_each_sample_is_sound(tmp_path: Path, sample: str, name: str, task: str) -> None:
    for number, colour in enumerate(("red", "green", "blue"), start=7):
        put(tmp_path / f"000{number}.jpg", png(colour, (640, 480)))
    found = read(put(tmp_path / name, sample).parent, task)
    assert not found.problems
    assert len(found.examples) == (1 if task == "detection" else len(sample.splitlines()))


ROWS: list[tuple[str, str, Any]] = [
    ("annotations.json", "detection", coco_file()),
    ("metadata.jsonl", "owlvit", {"file_name": "a.png", "objects": {"bbox": [[1, 2, 3, 4]], "categories": ["x"]}}),
    ("pairs.jsonl", "clip", {"image": "a.png", "text": "x", "label": "c"}),
    (
        "chats.jsonl",
        "llava",
        {
            "images": ["a.png"],
            "messages": [
                {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "x"}]},
                {"role": "assistant", "content": "y"},
            ],
        },
    ),
]
STRANGE: list[Any] = [
    *(None, True, -1, 1, 1.5, 10**400, float("nan"), "", "..", "a.png", "\x1b[2J\n", "\ud800", [], [[]], {}, {"a": 1}),
    *({"size": [30, 40], "counts": "~~~"}, {"size": [30, 40], "counts": [0, 1200]}, [[1, 2, 3, 4, 5, 9]], [None]),
]


def spots(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container and key in `value`."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from spots(value[key])


@given(st.sampled_from(ROWS), st.data())
def test_a_strange_value_in_any_field_is_told_in_printable_sentences(
    row: tuple[str, str, Any], data: st.DataObject
) -> None:
    name, task, content = copy.deepcopy(row)
    container, key = data.draw(st.sampled_from(list(spots(content))))
    container[key] = data.draw(st.sampled_from(STRANGE))
    with TemporaryDirectory() as folder:
        pictures(Path(folder), "a.png", "b.png")
        try:
            found = read(put(Path(folder, name), json.dumps(content)), task)
        except DataError as error:
            assert str(error).isprintable()
        else:
            assert all(str(problem).isprintable() for problem in found.problems)
            assert found.problems or found.examples
