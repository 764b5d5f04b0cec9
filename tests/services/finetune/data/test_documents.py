"""JSON files of training data: the place of what is wrong in them."""

from pathlib import Path

import pytest

from services.finetune.data import coco, documents
from services.finetune.data.documents import Row
from services.finetune.errors import DataError
from tests.services.finetune.data.pictures import put


def told(path: Path) -> list[tuple[str, object]]:
    """Each row's place, with its fields or with what is wrong."""
    return [(row.place.at, dict(row.fields) if isinstance(row, Row) else row.what) for row in documents.rows(path)]


def test_lines_are_counted_and_a_broken_one_hides_no_other(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n{"a": 2\n\xff\n[3]\n{"a": 4}\r\n' + b'{"a":' * 100_000 + b"\n" + b"9" * 5000
    assert told(put(tmp_path / "rows.jsonl", data)) == [
        ("line 1", {"a": 1}),
        ("line 3", "is not JSON at column 8. Write one object a line."),
        ("line 4", "is not UTF-8 at byte 1. Save the file as UTF-8."),
        ("line 5", "is not an object. Write the row as {…} with named fields."),
        ("line 6", {"a": 4}),
        ("line 7", "is nested too deep or has an endless number. Write a plain object."),
        ("line 8", "is nested too deep or has an endless number. Write a plain object."),
    ]


def test_entries_of_an_array_are_numbered_and_have_lines(tmp_path: Path) -> None:
    rows = told(put(tmp_path / "rows.json", '[{"a": [1,\n2]},\n\n 7,\n{"b": "]"}]'))
    assert rows == [
        ("[0]", {"a": [1, 2]}),
        ("line 4, [1]", "is not an object. Write the row as {…} with named fields."),
        ("line 5, [2]", {"b": "]"}),
    ]


@pytest.mark.parametrize("text", ["[1 2]", "[1,]", "[,1]", "[1", "[1]]", '[{"a" 1}]', "[" + "9" * 5000 + "]"])
def test_an_array_that_is_not_json_is_refused_with_line_and_column(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"line 1, column \d+: is not JSON"):
        told(put(tmp_path / "rows.json", text))


def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(No such file or directory\)"):
        told(tmp_path / "rows.json")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"images": [\n{"id": 1,, }], ', "line 2, column 10: is not JSON"),
        ("[]", "is not a JSON object. COCO's has the arrays"),
        ('{"images": [], "categories": []}', "has no array 'annotations'"),
        ("[" * 100_000, "is not a JSON object"),
        ('{"images": ' + "[" * 100_000, "is nested too deep"),
        (b'{\n"images": "\xff"}', "line 2: is not UTF-8. Save the file as UTF-8."),
        ('{"images": [], "annotations": [], "categories": []} 5', "column 53: is not JSON"),
        ('{"images": [], "annotations": [], "categories": []}', "has no rows"),
    ],
)
def test_a_file_of_which_nothing_can_be_made_ends_the_reading(tmp_path: Path, content: object, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence.replace(".", r"\.")):
        coco.read(put(tmp_path / "annotations.json", content))
