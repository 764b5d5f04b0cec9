"""ImageFolder: objects in metadata.jsonl, and a folder for each class."""

from pathlib import Path
from typing import Any

import pytest

from services.finetune.data import imagefolder
from services.finetune.data.examples import DetectionExample, PairExample
from services.finetune.errors import DataError
from tests.services.finetune.data.pictures import lines, pictures, png, problems, put


def row(objects: object, **changes: Any) -> dict[str, Any]:
    return {"file_name": "a.png", "objects": objects} | changes


BOX = {"bbox": [[4, 5, 10, 12]], "categories": ["cat"]}


def test_objects_are_read_and_a_picture_may_have_none(tmp_path: Path) -> None:
    pictures(tmp_path, "a.png", "b.png")
    none: dict[str, list[object]] = {"bbox": [], "category": []}
    lines(tmp_path / "metadata.jsonl", [row(BOX, width=40, height=30), row(none, file_name="b.png")])
    found = imagefolder.read(tmp_path)
    assert not found.problems
    first, second = found.examples
    assert isinstance(first, DetectionExample)
    assert isinstance(second, DetectionExample)
    assert (first.boxes, first.labels, second.boxes) == (((4, 5, 14, 17),), ("cat",), ())
    assert str(first.place) == f"{tmp_path}/metadata.jsonl: line 1"


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ("{", "is not JSON at column 2. Write one object a line."),
        ({"file_name": "a.png"}, "'objects' is missing. Add it."),
        ({"objects": BOX}, "'file_name' or 'image' is missing. Add it."),
        (row([]), "'objects' must be an object like"),
        (row({"bbox": []}), "'categories' or 'category' is missing. Add it."),
        (row({"bbox": {}, "categories": []}), "'bbox' must be a list, not an object."),
        (row(BOX | {"categories": []}), "'objects' has 1 boxes and 0 categories. Give each box its category."),
        (row(BOX | {"categories": [3]}), "'objects.categories' has a number. Write the name of the class."),
        (row(BOX | {"categories": [""]}), "'objects.categories' is empty."),
        (row(BOX | {"bbox": [[4, 5, 10, 0]]}), "'objects.bbox[0]' has no area."),
        (row(BOX | {"bbox": [[4, 5, 10, 90]]}), "the box reaches 65 pixels out of the picture of 40 x 30."),
        (row(BOX, width=40), "'height' is missing. Add it."),
        (row(BOX, width=41, height=30), "says 41 x 30 pixels, and the picture has 40 x 30"),
        (row(BOX, file_name="z.png"), "the picture 'z.png' is not there."),
        (row(BOX, file_name="n" * 300), "is not there."),
        (row(BOX, file_name="b.png\0"), "'file_name' has a NUL character. Remove it."),
        (row(BOX, file_name="\ud800.png"), "'file_name' has half a surrogate pair."),
        (row(BOX, file_name="b.png"), "has the same picture as"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, broken: object, sentence: str) -> None:
    pictures(tmp_path, "a.png", "b.png")
    good = row(BOX, file_name="b.png")
    found = imagefolder.read(lines(tmp_path / "metadata.jsonl", [good, broken]))
    ((at, what),) = problems(found)
    assert at == "line 2"
    assert sentence in what
    assert len(found.examples) == 1


def test_folders_are_classes_and_a_template_tells_them(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1.png", "big_dog/1.png", ".git/1.png")
    found = imagefolder.read_classes(tmp_path, "a drawing of a {}")
    told = [(pair.text, pair.label) for pair in found.examples if isinstance(pair, PairExample)]
    assert told == [("a drawing of a big dog", "big_dog"), ("a drawing of a cat", "cat")]
    assert found.statistics["classes"] == {"big_dog": 1, "cat": 1}


def test_what_is_no_picture_of_a_class_is_named(tmp_path: Path) -> None:
    pictures(tmp_path, "cat/1.png", "dog/2.png", "cat/kittens/3.png")
    put(tmp_path / "dog/copy.png", (tmp_path / "cat/1.png").read_bytes())
    put(tmp_path / "cat/notes.txt", "words")
    put(tmp_path / "readme.txt", "words")
    put(tmp_path / "secret.png", png("red"))
    (tmp_path / "dog/link.png").symlink_to("/etc/hostname")
    (tmp_path / "empty").mkdir()
    found = imagefolder.read_classes(tmp_path)
    assert {str(p.place.file.relative_to(tmp_path)): p.what.partition(".")[0] for p in found.problems} == {
        "cat/kittens": "is a folder inside a class",
        "cat/notes.txt": "the picture 'notes",
        "dog/copy.png": f"has the same picture as {tmp_path}/cat/1",
        "dog/link.png": "'link",
        "empty": "is a class without pictures",
    }
    assert found.notes == ("2 files beside the folders of the classes are not read.",)


def test_a_template_without_a_place_for_the_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"must have \{\} once"):
        imagefolder.read_classes(tmp_path, "a photo")
