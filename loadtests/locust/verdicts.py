"""What came of a phase: answers within the promise, waits, failures by kind, and which promise broke.

samples of a service -> answered, and fast enough -> shares held against `loadtests.slo` -> a line of the table
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from loadtests.locust.schedule import Phase
from loadtests.slo import Promise

HEAD = ("phase", "service", "asked", "good/s", "p50 ms", "p99 ms", "sent late", "failed", "promise")


@dataclass(frozen=True, slots=True)
class Sample:
    """A request: `wait` is from its slot to its answer (of chat: first token), `late` from its slot to its sending."""

    phase: Phase
    service: str
    wait: float
    late: float = 0.0
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The samples of one service in one phase, against what is promised."""

    phase: Phase
    promise: Promise
    samples: Sequence[Sample]

    @property
    def answers(self) -> Sequence[float]:
        """The waits of those who were answered, the shortest first."""
        return sorted(sample.wait for sample in self.samples if not sample.failure)

    @property
    def good(self) -> int:
        """Requests that were answered in the promised time."""
        return sum(wait <= self.promise.seconds for wait in self.answers)

    @property
    def failures(self) -> Mapping[str, int]:
        """Failed requests by kind."""
        return Counter(sample.failure for sample in self.samples if sample.failure)

    @property
    def broken(self) -> list[str]:
        """What was promised and not kept, in words."""
        promise, asked, answered = self.promise, len(self.samples), len(self.answers)
        said = []
        if not promise.keeps(answered, asked, promise.answered):
            said.append(f"{answered / asked:.2%} answered, promised {promise.answered:.1%}")
        if not promise.keeps(self.good, answered, promise.fast):
            said.append(f"{self.good / answered:.2%} within {promise.seconds:g} s, promised {promise.fast:.1%}")
        return said

    def row(self) -> list[str]:
        """The cells of a line of the table."""
        rate = self.good / self.phase.seconds
        late = quantile(sorted(sample.late for sample in self.samples), 0.99)
        failed = ", ".join(f"{count} {kind}" for kind, count in sorted(self.failures.items()))
        said = "kept" if not self.broken else "BROKEN" if self.phase.judged else "not kept, told only"
        waits = [ms(quantile(self.answers, share)) for share in (0.5, 0.99)]
        cells = [self.phase.name, self.promise.service, str(len(self.samples)), f"{rate:.2f}", *waits]
        return [*cells, f"{ms(late)} ms", failed or "-", said]


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed; not a number where there is none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def ms(seconds: float) -> str:
    """Seconds as whole milliseconds."""
    return "-" if seconds != seconds else f"{seconds * 1000:.0f}"  # noqa: PLR0124 -- not a number


def judge(samples: Iterable[Sample], promised: Mapping[str, Promise]) -> list[Verdict]:
    """A verdict for each phase and service, in the order of the first answers."""
    parts: dict[tuple[Phase, str], list[Sample]] = {}
    for sample in samples:
        parts.setdefault((sample.phase, sample.service), []).append(sample)
    return [Verdict(phase, promised[service], found) for (phase, service), found in parts.items()]


def table(verdicts: Sequence[Verdict]) -> str:
    """All verdicts for people, with what broke below."""
    rows = [list(HEAD), *(verdict.row() for verdict in verdicts)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    wrong = [
        f"{verdict.promise.service} in {verdict.phase.name}: {said}"
        for verdict in verdicts
        if verdict.phase.judged
        for said in verdict.broken
    ]
    return "\n".join([*lines, *(["", *wrong] if wrong else [])])
