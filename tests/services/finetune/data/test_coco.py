"""COCO's detection data: what is read, and each way in which a row can be broken."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.finetune.data import coco
from services.finetune.data.examples import DetectionExample
from services.finetune.errors import DataError
from tests.services.finetune.data.pictures import coco_file, pictures, problems, put

RUNS = {"size": [30, 40], "counts": [0, 30, 1170]}
TRIANGLE = [4, 5, 14, 5, 14, 17]


def written(folder: Path, content: object, name: str = "annotations.json") -> Path:
    pictures(folder / "images", "a.png", "b.png", "c.png")
    return put(folder / name, content)


def with_annotation(**changes: Any) -> dict[str, Any]:
    made = coco_file()
    made["annotations"][0] |= changes
    return made


def with_image(**changes: Any) -> dict[str, Any]:
    made = coco_file()
    made["images"][0] |= changes
    return made


def test_boxes_are_corners_and_categories_are_names(tmp_path: Path) -> None:
    written(tmp_path, coco_file())
    found = coco.read(tmp_path)
    assert not found.problems
    first, second = found.examples
    assert isinstance(first, DetectionExample)
    assert isinstance(second, DetectionExample)
    assert (first.boxes, first.labels, first.size) == (((4, 5, 14, 17),), ("cat",), (40, 30))
    assert (second.boxes, second.labels, second.masks) == (((0, 0, 40, 30),), ("dog",), None)
    assert first.picture.read() == (tmp_path / "images/a.png").read_bytes()


@pytest.mark.parametrize("name", ["_annotations.coco.json", "instances_train.json", "annotations/instances_val.json"])
def test_the_file_is_found_under_its_usual_names(tmp_path: Path, name: str) -> None:
    written(tmp_path, coco_file(), name)
    assert len(coco.read(tmp_path).examples) == 2


def test_pictures_are_found_in_the_folder_of_cocos_split(tmp_path: Path) -> None:
    pictures(tmp_path / "val2017", "a.png", "b.png")
    put(tmp_path / "annotations/instances_val2017.json", coco_file())
    assert len(coco.read(tmp_path).examples) == 2


def test_two_annotation_files_ask_for_a_choice(tmp_path: Path) -> None:
    written(tmp_path, coco_file(), "instances_a.json")
    written(tmp_path, coco_file(), "instances_b.json")
    with pytest.raises(DataError, match=r"has 2 COCO files \(instances_a.json, instances_b.json\). Name the one"):
        coco.read(tmp_path)


def test_a_crowd_is_no_object_and_an_unseen_class_is_told(tmp_path: Path) -> None:
    written(tmp_path, with_annotation(iscrowd=1, segmentation=RUNS))
    found = coco.read(tmp_path)
    assert [example.labels for example in found.examples if isinstance(example, DetectionExample)] == [(), ("dog",)]
    assert found.notes[0] == "no object is of cat: these classes are not learnt."
    assert found.notes[1] == "1 crowds (iscrowd 1) are left out: they are no single objects."


def test_less_than_a_pixel_beyond_the_edge_is_cut_off(tmp_path: Path) -> None:
    written(tmp_path, with_annotation(bbox=[-0.5, 0, 41, 30.9]))
    (first, _) = coco.read(tmp_path).examples
    assert isinstance(first, DetectionExample)
    assert first.boxes == ((0, 0, 40, 30),)


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    (
        with_image(file_name="z.png"),
        "images[0]",
        "the picture 'z.png' is not there. Correct the path, or add the file.",
    ),
    (with_image(file_name="../a.png"), "images[0]", "leads out of the data set's folder"),
    (with_image(file_name="/etc/passwd"), "images[0]", "leads out of the data set's folder"),
    (with_image(file_name="C:\\a.png"), "images[0]", "leads out of the data set's folder"),
    (with_image(file_name="sub\\a.png"), "images[0]", "is not there. Write / between folders."),
    (with_image(file_name="https://host/a.png"), "images[0]", "the picture is an address. Download it"),
    (with_image(file_name=5), "images[0]", "'file_name' must be a text, not a number. Change its type."),
    (with_image(width=30, height=40), "images[0]", "says 30 x 40 pixels, and the picture has 40 x 30"),
    (with_image(width=-1), "images[0]", "'width' must be a whole number of pixels above 0"),
    (with_image(id=2), "images[1]", "'id' 2 is given twice. Give each entry its own."),
    (with_image(file_name="b.png"), "images[1]", "has the same picture as"),
    (with_annotation(bbox=[1, 2, 0, 5]), "annotations[0]", "'bbox' has no area. Draw the box again, or remove it."),
    (with_annotation(bbox=[1, 2, -3, 5]), "annotations[0]", "'bbox' has a negative width or height"),
    (with_annotation(bbox=[1, 2, 3]), "annotations[0]", "'bbox' has 3 numbers. Write four"),
    (with_annotation(bbox=[1, 2, float("nan"), 5]), "annotations[0]", "'bbox' has a number that is not finite"),
    (with_annotation(bbox=[1, 2, "3", 5]), "annotations[0]", "'bbox[…]' must be a number, not a text"),
    (with_annotation(bbox=None), "annotations[0]", "'bbox' must be a list of numbers, not null"),
    (
        with_annotation(bbox=[30, 2, 25, 5]),
        "annotations[0]",
        "the box reaches 15 pixels out of the picture of 40 x 30.",
    ),
    (with_annotation(bbox=[0.1, 0.2, 0.5, 0.5]), "annotations[0]", "these may be shares of the sides. Write pixels."),
    (with_annotation(bbox=[40, 0, 0.5, 9]), "annotations[0]", "the box lies on the edge of the picture"),
    (with_annotation(category_id=8), "annotations[0]", "'category_id' 8 is none of the categories"),
    (with_annotation(image_id=3), "annotations[0]", "'image_id' 3 is none of the images"),
    (with_annotation(image_id=[1]), "annotations[0]", "'image_id' must be a whole number, not a list"),
    (with_annotation(iscrowd=[]), "annotations[0]", "'iscrowd' must be 0 or 1"),
    (with_annotation(id=2), "annotations[1]", "'id' 2 is given twice"),
    (coco_file(categories=[{"id": 7, "name": " "}, {"id": 9, "name": "dog"}]), "categories[0]", "'name' is empty"),
    (coco_file(categories=[{"id": 7, "name": "dog"}, {"id": 9, "name": "dog"}]), "categories[1]", "is given to two"),
    (coco_file(categories=[{"id": 7, "name": "c" * 65}, {"id": 9, "name": "d"}]), "categories[0]", "Shorten it to 64."),
    (with_annotation(segmentation=[[1, 2, 3, 4]]), "annotations[0]", "has 4 numbers. Write x and y of three points"),
    (with_annotation(segmentation=[[*TRIANGLE, 4]]), "annotations[0]", "has 7 numbers. Write x and y"),
    (with_annotation(segmentation=[[4, 5, 90, 5, 14, 17]]), "annotations[0]", "leaves the picture of 40 x 30 pixels"),
    (with_annotation(segmentation=[[1, 1, 2, 1, 3, 1]]), "annotations[0]", "a polygon of 'segmentation' has no area"),
    (with_annotation(segmentation="x"), "annotations[0]", "'segmentation' is neither polygons nor run lengths"),
    (with_annotation(segmentation=RUNS | {"size": [40, 30]}), "annotations[0]", "not the picture's height and width"),
    (with_annotation(segmentation=RUNS | {"counts": [0, 30]}), "annotations[0]", "does not cover the picture's 1,200"),
    (with_annotation(segmentation=RUNS | {"counts": [1200]}), "annotations[0]", "'segmentation' is an empty mask"),
    (with_annotation(segmentation=RUNS | {"counts": [-1, 1201]}), "annotations[0]", "that is no count of pixels"),
    (with_annotation(segmentation=RUNS | {"counts": "\u00e9"}), "annotations[0]", "is not what COCO's tools write"),
    (coco_file(images=["a.png", {"id": 2, "file_name": "b.png"}]), "images[0]", "is not an object. Write the row as"),
]


@pytest.mark.parametrize(("content", "at", "sentence"), BROKEN, ids=[f"{at}: {what}"[:60] for _, at, what in BROKEN])
def test_a_broken_row_is_named_with_its_place(tmp_path: Path, content: object, at: str, sentence: str) -> None:
    file = written(tmp_path, content)
    found = coco.read(file)
    assert any(where == at and sentence in what for where, what in problems(found)), problems(found)
    assert {problem.place.file for problem in found.problems} == {file}


def test_a_picture_with_a_broken_box_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    found = coco.read(written(tmp_path, with_annotation(bbox=[1, 2, 0, 5])))
    assert len(found.problems) == 1
    assert [example.picture.path.name for example in found.examples if isinstance(example, DetectionExample)] == [
        "b.png"
    ]


def test_the_line_of_an_entry_is_told_where_the_file_has_lines(tmp_path: Path) -> None:
    text = json.dumps(with_annotation(bbox=[1, 2, 0, 5]), indent=1)
    line = next(number for number, line in enumerate(text.splitlines(), 1) if '"annotations"' in line) + 1
    ((at, _),) = problems(coco.read(written(tmp_path, text)))
    assert at == f"line {line}, annotations[0]"


def test_the_same_picture_under_another_name_is_a_duplicate(tmp_path: Path) -> None:
    file = written(tmp_path, coco_file())
    put(tmp_path / "images/b.png", (tmp_path / "images/a.png").read_bytes())
    ((at, what),) = problems(coco.read(file))
    assert (at, what) == ("images[1]", f"has the same picture as {file}: images[0]. Keep one of them.")
