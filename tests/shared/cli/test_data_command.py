"""`ocelli data validate`, run as an ML engineer runs it."""

import json
from pathlib import Path

import pytest
from PIL import Image

from shared.cli import main
from tests.services.finetune.data.pictures import coco_file, lines, pictures


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pictures(tmp_path, "a.png", "b.png")
    (tmp_path / "annotations.json").write_text(json.dumps(coco_file()))
    return tmp_path


def validate(*arguments: str | Path) -> int:
    return main(["data", "validate", *map(str, arguments)])


def test_sound_data_is_told_in_figures_and_drawn(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(data, "--task", "detection", "--sheet", data / "sheet.png") == 0
    output = capsys.readouterr().out.splitlines()
    assert "rows               2" in output
    assert "classes            cat 1, dog 1" in output
    assert "boxes              small 1, medium 1, large 0" in output
    assert output[-1] == "sound"
    with Image.open(data / "sheet.png") as sheet:
        assert sheet.size == (1250, 306)


def test_each_problem_is_a_line_and_the_exit_code_is_1(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = coco_file()
    broken["annotations"][0]["bbox"] = [0, 0, 0, 0]
    broken["images"][1]["file_name"] = "z.png"
    (data / "annotations.json").write_text(json.dumps(broken))
    assert validate(data, "--task", "detection") == 1
    output = capsys.readouterr().out.splitlines()
    where = data / "annotations.json"
    assert output[-5:] == [
        "2 problems",
        f"{where}: annotations[0]: 'bbox' has no area. Draw the box again, or remove it.",
        f"{where}: images[1]: the picture 'z.png' is not there. Correct the path, or add the file.",
        "",
        "not sound",
    ]


def test_a_picture_on_both_sides_makes_data_unsound(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train = lines(data / "train.jsonl", [{"image": "a.png", "text": "a cat"}])
    apart = lines(data / "apart.jsonl", [{"image": "b.png", "text": "a dog"}])
    assert validate(train, "--task", "clip", "--validation", apart) == 0
    assert "no picture is on both sides" in capsys.readouterr().out
    assert validate(train, "--task", "clip", "--validation", train) == 1
    assert f"{train}: line 1 shows the same picture as {train}: line 1" in capsys.readouterr().out


def test_notes_count_as_problems_where_that_is_asked_for(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unseen = coco_file()
    unseen["categories"].append({"id": 3, "name": "emu"})
    (data / "annotations.json").write_text(json.dumps(unseen))
    assert validate(data, "--task", "owlvit") == 0
    assert "note: no object is of emu: these classes are not learnt." in capsys.readouterr().out
    assert validate(data, "--task", "owlvit", "--strict") == 1


def test_json_is_for_programs(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(data, "--task", "detection", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sound"]
    assert found["train"]["statistics"]["classes"] == {"cat": 1, "dog": 1}
    assert (found["validation"], found["leakage"], found["train"]["problems"]) == (None, [], [])


def test_data_of_no_format_is_one_sentence_on_standard_error(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate(data / "a.png", "--task", "llava") == 1
    assert capsys.readouterr().err == f"{data}/a.png holds neither a file *.json nor *.jsonl of conversations.\n"
