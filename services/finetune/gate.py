"""Whether a version is good enough to be pushed: each limit is one check, and all of them must hold.

Comparison, limits -> new data: least score, least gain -> old data: most loss, of all and of any class -> latency
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from services.finetune.comparison import DIGITS, Comparison, Row, Side
from services.finetune.settings import GateLimits

FEW = 20  # fewer examples say little; the limits stay what they are


class Check(NamedTuple):
    """One limit, and what was measured; higher is better but for `latency`, the times the base takes."""

    name: str
    sentence: str
    value: float
    limit: float
    passed: bool

    def __str__(self) -> str:
        return f"{'ok' if self.passed else 'FAIL':<4}  {self.sentence}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The checks, and what a reader of them should know besides."""

    checks: tuple[Check, ...]
    notes: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.passed for check in self.checks)

    def __str__(self) -> str:
        return "\n".join([*map(str, self.checks), *(f"note  {note}" for note in self.notes)])


def judge(comparison: Comparison, limits: GateLimits, *, headline: str, latency: tuple[float, float]) -> Verdict:
    """Hold the trained version to the limits.

    headline   the score to go by: between 0 and 1, higher is better
    latency    seconds for one answer of the base and of the trained version, above 0
    """
    checks = [_least(comparison.new, limits, headline), _gain(comparison.new, limits, headline)]
    if comparison.old:
        checks += _losses(comparison.old, limits, headline)
    checks.append(_latency(*latency, limits))
    return Verdict(tuple(checks), tuple(_notes(comparison)))


def _least(side: Side, limits: GateLimits, headline: str) -> Check:
    score = side.row(headline).after or 0.0
    sentence = f"{headline} on the new data {score:.4f}, at least {limits.least:g}"
    return Check("least", sentence, score, limits.least, score >= limits.least)


def _gain(side: Side, limits: GateLimits, headline: str) -> Check:
    return _change("gain", f"{headline} on the new data", side.row(headline), limits.gain)


def _losses(side: Side, limits: GateLimits, headline: str) -> Iterator[Check]:
    yield _change("loss", f"{headline} on the old data", side.row(headline), 0.0 - limits.loss)
    known = [row for row in side.classes(headline) if row.before is not None]
    if known:
        worst = min(known, key=lambda row: row.change)
        name = worst.name.removeprefix(f"{headline}/")
        yield _change(
            "class_loss", f"{headline} of the old class that fell most, {name},", worst, 0.0 - limits.class_loss
        )


def _change(name: str, what: str, row: Row, limit: float) -> Check:
    way = f"from {row.before or 0:.4f} to {row.after or 0:.4f}"
    sentence = f"{what} changes by {row.change:+.4f}, {way}; at least {limit:+g}"
    return Check(name, sentence, row.change, limit, row.change >= limit)


def _latency(before: float, after: float, limits: GateLimits) -> Check:
    times = round(after / before, DIGITS)
    taken = f"one answer takes {after:.4f} s, the base's {before:.4f} s"
    sentence = f"{taken}: {times:.4f} times as long, at most {limits.latency:g}"
    return Check("latency", sentence, times, limits.latency, times <= limits.latency)


def _notes(comparison: Comparison) -> Iterator[str]:
    for side in comparison.sides:
        if side.examples < FEW:
            few = f"the {side.name} data has {side.examples} examples to judge by"
            yield f"{few}; scores on fewer than {FEW} say little"
    if comparison.old is None:
        yield "nothing old to judge by, so what the version forgot is unknown; give --replay or --old"
