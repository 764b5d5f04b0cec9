"""The metrics of a training as curves."""

import json
from pathlib import Path

from services.finetune.report.history import history, summary
from services.finetune.task import Curve


def test_each_figure_is_a_curve_over_the_steps(tmp_path: Path) -> None:
    lines = [
        {"step": 1, "loss": 2.0, "seconds": 3},
        {"step": 2, "loss": 1.0, "note": "text", "ap50": None, "ap50/circle": 0.5},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert history(path) == {"loss": Curve("loss", [1, 2], [2.0, 1.0])}
    assert summary(history(path)) == {"loss": {"first": 2.0, "last": 1.0, "lowest": 1.0, "highest": 2.0}}


def test_a_run_that_was_killed_and_went_on_is_one_curve(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(
        '{"step": 1, "loss": 3}\n{"step": 2, "loss": 9}\n{"step": 3, "lo\n{"step": 2, "loss": 2}\n{"loss": 7}\n[1]\n'
    )
    assert history(path)["loss"] == Curve("loss", [1, 2], [3, 2])


def test_numbers_that_are_none_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": NaN, "lr": true}\n')
    assert history(path) == {}
    assert history(tmp_path / "missing.jsonl") == {}
