"""One run of the job with all that it works with: its folder, the store, what learns, and what is compared with.

settings -> folder of the run -> store -> base (what learns), served (what users have now)

Under torchrun the first process reads, judges and publishes for all; the others wait for its data, and only train.
"""

import os
import time
from dataclasses import dataclass

from services.finetune.adapters import adapter_id
from services.finetune.comparison import Comparison
from services.finetune.errors import JobError
from services.finetune.gate import Verdict
from services.finetune.run import Run, new_id
from services.finetune.settings import JobSettings
from services.finetune.task import Task
from shared.weights.errors import NotInStore
from shared.weights.names import check_version
from shared.weights.seed import open_store
from shared.weights.store import Store, Version

WAIT_S = 1800  # for the first process to read the data


@dataclass(frozen=True, slots=True)
class Job:
    """What one run works with: `base` is what learns, `served` what its users have now."""

    task: Task
    settings: JobSettings
    run: Run
    store: Store
    base: Version
    served: Version


@dataclass(frozen=True, slots=True)
class Checked:
    """What the check found: scores before and after, the seconds of one answer before and after, and the verdict."""

    comparison: Comparison
    latency: tuple[float, float]
    verdict: Verdict


def begin(task: Task, settings: JobSettings) -> Job:
    """The job of these settings. Raises `StoreError` for a base that is not there, `JobError` for a run that is not."""
    if settings.resume:
        settings = _resumed(settings)
    _check_augmentation(task, settings)
    store = open_store(settings.store, settings.state)
    base = store.fetch(settings.base or f"{task.model}@champion", settings.state / "cache")
    if base.manifest.merge is not None:
        whole = f"{base.model}@{base.manifest.merge.result.version}"
        raise JobError(f"--base {base.model}@{base.version} is an adapter. Start from what it is merged into: {whole}.")
    try:
        served = store.fetch(f"{base.model}@champion", settings.state / "cache")
    except NotInStore:
        served = base
    run = _folder(task, settings)
    run.say(f"{task.name}: run {run.id}, from {base.model}@{base.version}")
    return Job(task, settings, run, store, base, served)


def _check_augmentation(task: Task, settings: JobSettings) -> None:
    for name in settings.augment or ():
        if name not in task.augmentations:
            known = f"{task.name} has {', '.join(task.augmentations)}" if task.augmentations else "it is for detectors"
            raise JobError(f"--augment {name}: {known}.")


def first_process() -> bool:
    """Whether this is the one process that reads, judges and publishes for all."""
    return os.environ.get("RANK", "0") == "0"


def await_data(run: Run) -> None:
    """Wait until the first process has read the data, and made it where it is a demo's. Raises `JobError`."""
    until = time.monotonic() + WAIT_S
    while not (run.folder / "split.json").exists():
        if time.monotonic() > until:
            raise JobError(f"the first process read no data within {WAIT_S} s.")
        time.sleep(0.5)


def _resumed(settings: JobSettings) -> JobSettings:
    folder = settings.resume
    assert folder is not None
    config = Run(folder).kept("config.json")
    if config is None:
        raise JobError(f"--resume: {folder} is not the folder of a run: it has no config.json.")
    return JobSettings(**config | {"resume": folder, "state": settings.state})


def _folder(task: Task, settings: JobSettings) -> Run:
    if settings.resume:
        return Run(settings.resume)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and settings.output is None:
        raise JobError("Several processes need one folder: name it with --output.")
    folder = settings.output or settings.state / "runs" / new_id(task.name)
    version = check_version(settings.version or folder.name)  # before hours of work for what could not be published
    if settings.lora:
        adapter_id(version)
    if not first_process():
        return Run(folder)
    try:
        run = Run.begin(folder)
    except FileExistsError:
        raise JobError(f"--output: {folder} has a run already. Name another, or go on with it: --resume.") from None
    run.keep("config.json", settings.model_dump(mode="json"))
    return run
