"""The first part of the story: folders and files -> what is learnt from and judged by.

read each -> broken rows are told, and refused or skipped -> a seeded share is kept for validation -> split.json
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.finetune.data.examples import Dataset, Example, Problem
from services.finetune.data.split import leakage, split
from services.finetune.errors import DataError
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Task

TOLD = 20  # broken rows that are printed; all of them are in the run's folder


@dataclass(frozen=True, slots=True)
class Read:
    """The material, and what manifest and report tell of the data."""

    material: Material
    sha256: str
    description: str
    statistics: Mapping[str, Any]
    problems: Sequence[Problem]


def read(task: Task, settings: JobSettings, run: Run) -> Read:
    """Read all data of a run. Raises `DataError`."""
    paths = _paths(task, settings, run)
    data = _sound(task, paths["data"], settings, run)
    train, validation = _parted(task, data, paths.get("validation"), settings, run)
    replay: Sequence[Example] = ()
    old: Sequence[Example] = ()
    if "replay" in paths:
        known = _sound(task, paths["replay"], settings, run)
        replay, old = _parted(task, known, paths.get("old"), settings, run)
    else:
        run.say("No --replay: nothing keeps the base from forgetting, and forgetting is not measured.")
    for one in leakage(train, validation):
        run.say(f"seen in training and in validation: {one}")
    run.keep("split.json", {"train": _places(train), "validation": _places(validation), "old": _places(old)})
    run.say(
        f"read: {len(train)} to learn from, {len(validation)} to judge by, {len(replay)} + {len(old)} of what is known"
    )
    material = Material(train, validation, replay, old)
    return Read(material, data.sha256, str(paths["data"]), data.statistics, data.problems)


def _paths(task: Task, settings: JobSettings, run: Run) -> Mapping[str, Path]:
    given = {name: path for name in ("data", "validation", "replay", "old") if (path := getattr(settings, name))}
    if settings.demo:
        if given:
            raise DataError(f"--demo makes its own data; leave out --{next(iter(given))}, or --demo.")
        run.say("making the demo's pictures")
        return task.demo(run.folder / "demo")
    if "data" not in given:
        raise DataError("Say what to learn from with --data, or try --demo.")
    for name, path in given.items():
        if not path.exists():
            raise DataError(f"--{name}: there is no {path}.")
    return given


def _sound(task: Task, path: Path, settings: JobSettings, run: Run) -> Dataset:
    """A data set whose broken rows are told, unless they are reason to end."""
    found = task.read(path)
    for problem in found.problems[:TOLD]:
        run.say(str(problem))
    if len(found.problems) > TOLD:
        run.say(f"and {len(found.problems) - TOLD} more, in {run.folder / 'problems.txt'}")
    if found.problems:
        with (run.folder / "problems.txt").open("a") as file:
            file.writelines(f"{problem}\n" for problem in found.problems)
    if found.problems and settings.bad_rows == "refuse":
        raise DataError(f"{path} has {len(found.problems)} broken rows. Mend them, or leave them out: --bad-rows skip.")
    if not found.examples:
        raise DataError(f"{path} has no row that can be used.")
    return found


def _parted(
    task: Task, data: Dataset, judged_by: Path | None, settings: JobSettings, run: Run
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Rows to learn from and rows to judge by: those of a file of their own, or a seeded share."""
    if judged_by is not None:
        return data.examples, _sound(task, judged_by, settings, run).examples
    train, validation = split(data.examples, share=settings.share, seed=settings.seed)
    if not train or not validation:
        raise DataError(f"{len(data.examples)} rows are too few to keep a share of {settings.share} for validation.")
    return train, validation


def _places(examples: Sequence[Example]) -> list[str]:
    return [str(example.place) for example in examples]
