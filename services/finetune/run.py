"""The folder of one run of the job, from which it can be told again and gone on with.

config.json      the settings, as they were resolved
environment.json versions, device, revision of the code
split.json       which rows were kept for validation
metrics.jsonl    a line whenever something was measured
checkpoints/     the latest states of the training, and candidate/ the files of a version
report/          report.html and report.json
"""

import contextlib
import json
import os
import platform
import secrets
import subprocess
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import shared

PACKAGES = ("torch", "torchvision", "transformers", "peft", "trl", "accelerate", "torchmetrics")


class Run:
    """A run in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.monotonic()

    @classmethod
    def begin(cls, folder: Path) -> "Run":
        """A new run. Raises `FileExistsError` where the folder has another one."""
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "environment.json").open("x") as file:
            json.dump(_environment(), file, indent=2)
        return cls(folder)

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def checkpoints(self) -> Path:
        """Where the trainer keeps its states."""
        return self.folder / "checkpoints"

    @property
    def candidate(self) -> Path:
        """Where the files of the version that is made are put together."""
        return self.folder / "candidate"

    @property
    def report(self) -> Path:
        """Where the report is written."""
        return self.folder / "report"

    def keep(self, name: str, content: Any) -> None:
        """Write a JSON file, whole or not at all."""
        path = self.folder / name
        draft = path.with_suffix(".part")
        draft.write_text(json.dumps(content, indent=2, default=str) + "\n")
        draft.replace(path)

    def kept(self, name: str) -> Any:
        """Read a JSON file that `keep` wrote; None where there is none."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else None

    def measure(self, **figures: float | int | str | None) -> None:
        """Add a line to the metrics."""
        line = {"seconds": round(time.monotonic() - self.began, 2), **figures}
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def forget(self, *, after: int) -> None:
        """Drop what was measured after a step: a run that goes on from a checkpoint measures it again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        # A kill may have cut the last line off.
        whole = [line for line in lines if line.endswith("\n")]
        path.write_text("".join(line for line in whole if json.loads(line).get("step", 0) <= after))

    def say(self, sentence: str) -> None:
        """Tell whoever watches."""
        print(f"{time.strftime('%H:%M:%S')}  {sentence}", flush=True)


def new_id(task: str) -> str:
    """A name for a run and its version: sorted by time, and no two alike."""
    return f"{task}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def _environment() -> dict[str, Any]:
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    return {
        "ocelli": shared.__version__,
        "code": _revision(),
        "python": platform.python_version(),
        "packages": packages,
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
    }


def _revision() -> str | None:
    """The commit of the code, where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
