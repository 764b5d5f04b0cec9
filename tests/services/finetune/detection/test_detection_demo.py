from pathlib import Path

from services.finetune.data import coco
from services.finetune.data.examples import DetectionExample
from services.finetune.demo.novel import familiar, novel
from services.finetune.demo.shapes import NEW_SHAPES
from services.finetune.detection import demo

PARTS = {"data": (novel, 12, 1), "old": (familiar, 6, 2)}


def labels(folder: Path) -> set[str]:
    read = coco.read(folder)
    assert not read.problems
    return {label for one in read.examples if isinstance(one, DetectionExample) for label in one.labels}


def test_the_folders_are_sound_coco_and_only_the_new_data_shows_new_shapes(tmp_path: Path) -> None:
    paths = demo.write(tmp_path, PARTS)
    assert list(paths) == ["data", "old"]
    assert set(NEW_SHAPES) <= labels(paths["data"])
    assert not set(NEW_SHAPES) & labels(paths["old"])


def test_a_run_that_goes_on_finds_its_pictures_where_they_were(tmp_path: Path) -> None:
    demo.write(tmp_path, PARTS)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    (tmp_path / "old" / "annotations.json").unlink()  # as if it had been killed there
    demo.write(tmp_path, PARTS)

    assert len(times) == 18
    assert all(path.stat().st_mtime_ns == at for path, at in times.items() if path.parent.name == "data")
    assert labels(tmp_path / "old")


def test_all_four_parts_are_drawn_from_seeds_of_their_own() -> None:
    assert list(demo.PARTS) == ["data", "validation", "replay", "old"]
    assert len({seed for _, _, seed in demo.PARTS.values()}) == 4
