"""The result: figures with their goals and verdicts, as a table for people and as JSON for machines."""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from loadtests.machine import QUIET, cpu_model


@dataclass(frozen=True, slots=True)
class Goal:
    """A bound on a figure; `most` says that less is better."""

    bound: float
    most: bool = False

    def met(self, value: float) -> bool:
        """Whether `value` keeps the bound."""
        return value <= self.bound if self.most else value >= self.bound

    def __str__(self) -> str:
        return f"{'≤' if self.most else '≥'} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity: a value per round, of which the median counts; no rounds means not measured."""

    name: str
    unit: str
    rounds: Sequence[float]
    goal: Goal | None = None
    note: str = ""

    @property
    def value(self) -> float | None:
        """The median of the rounds."""
        return median(self.rounds) if self.rounds else None

    @property
    def verdict(self) -> str:
        """`pass`, `miss`, `info` where there is no goal, `skipped` where nothing was measured."""
        if self.value is None:
            return "skipped"
        if self.goal is None:
            return "info"
        return "pass" if self.goal.met(self.value) else "miss"

    def row(self) -> list[str]:
        """The cells of a line of the table."""
        value = "-" if self.value is None else f"{self.value:.3g} {self.unit}"
        spread = f"{min(self.rounds):.3g}-{max(self.rounds):.3g}" if self.rounds else ""
        return [self.name, str(self.goal or ""), value, spread, self.verdict, self.note]

    def plain(self) -> dict[str, Any]:
        """The figure as JSON."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": self.value,
            "goal": str(self.goal) if self.goal else None,
            "verdict": self.verdict,
            "rounds": list(self.rounds),
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class Section:
    """Figures that were measured together, and the cores that others kept busy meanwhile."""

    name: str
    figures: Sequence[Figure]
    others: float

    @property
    def void(self) -> bool:
        """Whether others disturbed the section so much that its verdicts do not count."""
        return self.others > QUIET

    def __str__(self) -> str:
        widths = [max(len(row[i]) for row in self._rows()) for i in range(6)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in self._rows()]
        verdict = f"more than {QUIET:g}: these verdicts are VOID" if self.void else "quiet enough"
        lines.append(f"load of others: {self.others:.2f} cores ({verdict})")
        return "\n".join([f"== {self.name}", *(line.rstrip() for line in lines)])

    def _rows(self) -> list[list[str]]:
        return [["figure", "goal", "median", "rounds", "verdict", ""], *(figure.row() for figure in self.figures)]

    def plain(self) -> dict[str, Any]:
        """The section as JSON."""
        figures = [figure.plain() for figure in self.figures]
        return {"name": self.name, "others": self.others, "void": self.void, "figures": figures}


@dataclass(slots=True)
class Report:
    """A whole run."""

    sections: list[Section] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a goal was missed in a section that counts."""
        return any(f.verdict == "miss" for s in self.sections if not s.void for f in s.figures)

    def write(self, path: Path) -> None:
        """Keep the run as JSON: date, machine, and every section with all its rounds."""
        machine = {"cpu": cpu_model(), "cores": os.cpu_count(), "loadavg": os.getloadavg()}
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        sections = [section.plain() for section in self.sections]
        path.write_text(json.dumps({"date": date, "machine": machine, "sections": sections}, indent=2) + "\n")
