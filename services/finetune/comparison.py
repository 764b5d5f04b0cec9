"""What serves now beside what was trained: both judged on the same examples, new ones and old ones.

Comparison -> Side (new, old) -> Row (a score before, after, and its change)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from services.finetune.task import Evaluation

DIGITS = 4  # a score is judged and stored as it is printed
LESS = frozenset({"loss", "space_shift"})  # scores of which less is better


class Row(NamedTuple):
    """One score of both; None where a version has none, as the base has for a class that it does not know."""

    name: str
    before: float | None
    after: float | None

    @property
    def change(self) -> float:
        """After minus before; a score that is missing counts as 0."""
        return round((self.after or 0.0) - (self.before or 0.0), DIGITS)

    @property
    def gain(self) -> float | None:
        """How much better it became, below 0 if worse; None where one of them has no score."""
        if self.before is None or self.after is None:
            return None
        return -self.change if self.name.partition("/")[0] in LESS else self.change


class Side(NamedTuple):
    """Both versions on the same examples."""

    name: Literal["new", "old"]
    before: Evaluation
    after: Evaluation
    examples: int

    def row(self, score: str) -> Row:
        """One score."""
        return Row(score, _score(self.before, score), _score(self.after, score))

    def rows(self) -> list[Row]:
        """All scores that a version has, in the order of the trained one's."""
        rows = [self.row(score) for score in {**self.after.scores, **self.before.scores}]
        return [row for row in rows if row.before is not None or row.after is not None]

    def classes(self, score: str) -> list[Row]:
        """The rows of one score's classes: those of `ap50/circle` and its like for `ap50`."""
        return [row for row in self.rows() if row.name.startswith(f"{score}/")]


@dataclass(frozen=True, slots=True)
class Comparison:
    """The base (before) and the trained version (after) on new data, and on old data where there is some."""

    new_before: Evaluation
    new_after: Evaluation
    old_before: Evaluation | None
    old_after: Evaluation | None
    new_examples: int
    old_examples: int

    @property
    def new(self) -> Side:
        """What the version is to learn."""
        return Side("new", self.new_before, self.new_after, self.new_examples)

    @property
    def old(self) -> Side | None:
        """What the base knows already."""
        if self.old_before is None or self.old_after is None:
            return None
        return Side("old", self.old_before, self.old_after, self.old_examples)

    @property
    def sides(self) -> Sequence[Side]:
        """The sides that there are, the new one first."""
        return [side for side in (self.new, self.old) if side]


def _score(evaluation: Evaluation, name: str) -> float | None:
    value = evaluation.scores.get(name, math.nan)
    return round(float(value), DIGITS) if math.isfinite(value) else None
