"""What the job says of a version is what its users get: the same pictures are judged and asked for over HTTP."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import torch

from services.finetune.clip import demo as pairs
from services.finetune.demo.novel import familiar, novel
from services.finetune.detection import demo as shapes
from services.finetune.main import main
from services.finetune.owlvit import demo as boxes
from services.finetune.towers.demo import new_scenes, old_scenes
from shared import logs
from tests.e2e.taught_accuracy import compared
from tests.processes import running
from tests.services.finetune.test_story import LENIENT

JOB = ("--steps", "1", "--batch", "8", "--evaluations", "1", "--threads", "1")
Data = Mapping[str, Path]


class Lesson(NamedTuple):
    """A task, its default model, and how its data is made."""

    task: str
    model: str
    write: Callable[[Path], Data]


def coloured(folder: Path, *, write: Callable[..., None]) -> Data:
    parts = {"data": (new_scenes, 1), "validation": (new_scenes, 2), "replay": (old_scenes, 3), "old": (old_scenes, 4)}
    for name, (draw, seed) in parts.items():
        write(folder / name, draw((1, 2), seed=seed, pictures=12))
    return {name: folder / name for name in parts}


def shaped(folder: Path) -> Data:
    parts = {
        "data": (novel, 8, 1),
        "validation": (novel, 8, 2),
        "replay": (familiar, 8, 3),
        "old": (familiar, 8, 4),
    }
    return shapes.write(folder, parts)


LESSONS = (
    Lesson("detection", "ssd", shaped),
    Lesson("clip", "clip", partial(coloured, write=pairs.write_set)),
    Lesson("owlvit", "owlvit", partial(coloured, write=boxes.write_set)),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.task for lesson in LESSONS])
def test_the_scores_of_the_report_are_those_of_the_service(
    lesson: Lesson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "configure", lambda *_, **__: None)
    torch.set_num_threads(1)
    given = [word for name, path in lesson.write(tmp_path / "data").items() for word in (f"--{name}", str(path))]
    state, folder = ("--state", str(tmp_path)), tmp_path / "run"
    with running(f"services.{lesson.task}", state=tmp_path, models=lesson.model) as service:
        push = ("--replicas", f"127.0.0.1:{service.management_port}", "--new-space")
        asked = [*state, *given, *JOB, *LENIENT, *push, "--output", str(folder), "--base", f"{lesson.model}@champion"]
        assert main(lesson.task, asked) == 0
        with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
            (served,) = client.get("/v1/models").json()["data"]
            assert served["version"] == "run"
            told = compared(client, folder)
    assert len(told) > 10
    for name, (judged, answered) in told.items():
        assert answered == pytest.approx(judged, abs=0.002), name
