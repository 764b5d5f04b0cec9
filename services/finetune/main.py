"""`ocelli finetune TASK …`: settings -> task -> the story; what the caller can mend is one sentence.

Exit codes: 0 done, 1 refused (data, gate, store or push: the sentence says), 75 stopped and to be resumed, 78 settings.
"""

import sys
from collections.abc import Sequence
from importlib import import_module

from services.finetune.errors import JobError, Stopped
from services.finetune.settings import JobSettings
from services.finetune.task import Task
from shared import logs
from shared.weights.errors import StoreError

TASKS = {
    "detection": "services.finetune.detection.task:DetectionTask",
    "clip": "services.finetune.clip.task:ClipTask",
    "owlvit": "services.finetune.owlvit.task:OwlvitTask",
    "llava": "services.finetune.llava.task:LlavaTask",
}
EXIT_STOPPED = 75  # EX_TEMPFAIL of sysexits(3): what was done is kept, and can be gone on with


def main(name: str, argv: Sequence[str]) -> int:
    """Run the job for one task; returns the exit code."""
    settings = JobSettings.load(list(argv))
    logs.configure("finetune", level="warning" if settings.log_level == "info" else settings.log_level, fmt="text")
    from services.finetune.story import run  # after the settings: a wrong one is told at once, before torch is loaded

    try:
        return run(task(name), settings)
    except Stopped as stopped:
        print(stopped, file=sys.stderr)
        return EXIT_STOPPED
    except (JobError, StoreError) as error:
        print(f"ocelli finetune: {error}", file=sys.stderr)
        return 1


def task(name: str) -> Task:
    """The task of this name."""
    module, kind = TASKS[name].split(":")
    found: Task = getattr(import_module(module), kind)()
    return found
