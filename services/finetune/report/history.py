"""How a training went: the lines of metrics.jsonl as one curve per figure, over the steps.

{"seconds": 3.1, "step": 20, "loss": 0.8}  ->  {"loss": Curve("loss", [20, …], [0.8, …])}
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeGuard

from services.finetune.task import Curve


def history(path: Path) -> dict[str, Curve]:
    """The curves in the order in which their figures first appear, without those of single classes.

    A run that was killed may leave half a line, and one that went on tells some steps again: the last word counts.
    """
    points: defaultdict[str, dict[float, float]] = defaultdict(dict)
    for line in _lines(path):
        step = line.get("step")
        if _number(step):
            for name, value in line.items():
                if _number(value) and name not in {"step", "seconds"} and "/" not in name:
                    points[name][step] = value
    return {name: Curve(name, sorted(ys), [ys[x] for x in sorted(ys)]) for name, ys in points.items()}


def summary(curves: Mapping[str, Curve]) -> dict[str, dict[str, float]]:
    """Each curve in numbers, to three digits that count."""
    return {
        name: {
            word: float(f"{value:.3g}")
            for word, value in {"first": y[0], "last": y[-1], "lowest": min(y), "highest": max(y)}.items()
        }
        for name, (_, _, y) in curves.items()
    }


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if isinstance(line, dict):
            yield line


def _number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
