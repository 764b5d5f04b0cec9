"""What the report and the model card tell of a run, and the figures of it as JSON.

Report -> figures() -> report.json        services/finetune/report/page.py makes report.html of it
"""

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from services.finetune.comparison import Comparison, Side
from services.finetune.data.examples import Problem
from services.finetune.gate import Verdict
from services.finetune.report.history import history, summary
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from shared.weights.store import Version

SECRET = re.compile(r"(?<=://)[^/@\s]+(?=@)")  # user and password of a URL


@dataclass(frozen=True, slots=True)
class Learnt:
    """The data of a run: where it lies, the hash of the new rows, how many rows were for what, and what was wrong."""

    description: str
    sha256: str
    counts: Mapping[str, int]  # train, validation, replay, old
    statistics: Mapping[str, Any]
    problems: Sequence[Problem]


@dataclass(frozen=True, slots=True)
class Report:
    """One run, ended.

    task        of the service: detection, clip, owlvit or llava
    base        what was taught; `served` is what users have now, which the scores before are of
    version     the id of what came out
    latency     seconds for one answer, before and after
    command     as it was given, a word each
    by          who is responsible
    """

    task: str
    headline: str
    base: Version
    served: Version
    version: str
    comparison: Comparison
    verdict: Verdict
    latency: tuple[float, float]
    data: Learnt
    run: Run
    settings: JobSettings
    command: Sequence[str]
    by: str

    @property
    def name(self) -> str:
        """The version as a person writes it."""
        return f"{self.base.model}@{self.version}"

    @property
    def origin(self) -> str:
        """The base, with its digest."""
        return _reference(self.base)

    @property
    def before(self) -> str:
        """What users have now, with its digest."""
        return _reference(self.served)

    @property
    def decision(self) -> str:
        """What became of the gate: "passed", "failed", or "forced: why, by whom"."""
        if self.verdict.passed:
            return "passed"
        return f"forced: {self.settings.force}, by {self.by}" if self.settings.force else "failed"

    @property
    def invocation(self) -> str:
        """The command as a shell takes it, without the passwords of its URLs."""
        command = shlex.join(self.command).encode("utf-8", "replace").decode()  # a path may be no text
        return SECRET.sub("***", command)

    @property
    def options(self) -> dict[str, Any]:
        """The settings, without the passwords of their URLs."""
        fields = self.settings.model_dump(mode="json")
        return {name: SECRET.sub("***", value) if isinstance(value, str) else value for name, value in fields.items()}

    @property
    def steps(self) -> int | None:
        """Steps of the optimizer, as far as the metrics tell."""
        steps = [curve.x[-1] for curve in history(self.run.folder / "metrics.jsonl").values()]
        return int(max(steps)) if steps else None

    @property
    def environment(self) -> dict[str, Any]:
        """What it ran on."""
        return dict(self.run.kept("environment.json") or {})

    @property
    def confusions(self) -> dict[str, Any]:
        """What the trained version takes for what, by side."""
        sides = self.comparison.sides
        return {side.name: side.after.confusion._asdict() for side in sides if side.after.confusion}

    def figures(self) -> dict[str, Any]:
        """All of it but the pictures, as JSON takes it: no number that is not finite."""
        before, after = self.latency
        return {
            "run": self.run.id,
            "task": self.task,
            "version": self.name,
            "base": self.origin,
            "before": self.before,
            "gate": self.decision,
            "by": self.by,
            "headline": self.headline,
            "checks": [check._asdict() for check in self.verdict.checks],
            "notes": self.verdict.notes,
            "scores": {side.name: _scores(side) for side in self.comparison.sides},
            "latency": {"before": round(before, 4), "after": round(after, 4)},
            "confusion": self.confusions,
            "training": summary(history(self.run.folder / "metrics.jsonl")),
            "data": self._data(),
            "settings": self.options,
            "environment": self.environment,
            "command": self.invocation,
        }

    def _data(self) -> dict[str, Any]:
        problems = [str(problem) for problem in self.data.problems]
        return asdict(self.data) | {"statistics": _finite(self.data.statistics), "problems": problems}


def _finite(value: Any) -> Any:
    """JSON has no number for what is none."""
    if isinstance(value, Mapping):
        return {str(name): _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _reference(version: Version) -> str:
    return f"{version.model}@{version.version} {version.digest}"


def _scores(side: Side) -> dict[str, Any]:
    rows = side.rows()
    before = {row.name: row.before for row in rows if row.before is not None}
    after = {row.name: row.after for row in rows if row.after is not None}
    return {"examples": side.examples, "before": before, "after": after}
