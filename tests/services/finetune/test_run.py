"""The folder of a run."""

import json
from pathlib import Path

import pytest

from services.finetune.run import Run, new_id


def test_a_folder_has_one_run(tmp_path: Path) -> None:
    Run.begin(tmp_path / "one")
    with pytest.raises(FileExistsError):
        Run.begin(tmp_path / "one")


def test_what_is_kept_comes_back_and_what_is_measured_is_a_line(tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "one")
    run.keep("split.json", {"train": ["a.json: line 1"]})
    run.measure(step=1, loss=0.5)
    run.measure(step=2, loss=0.25)
    again = Run(tmp_path / "one")
    assert again.kept("split.json") == {"train": ["a.json: line 1"]}
    assert again.kept("nothing.json") is None
    lines = [json.loads(line) for line in (again.folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["loss"] for line in lines] == [0.5, 0.25]
    assert "torch" in json.loads((again.folder / "environment.json").read_text())["packages"]


def test_no_two_runs_have_one_name() -> None:
    assert len({new_id("clip") for _ in range(100)}) == 100
