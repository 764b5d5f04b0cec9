"""The scheduler and the runner of one set of weights: step by step, from sequences to what they say.

add -> step: plan -> run (raises -> each chunk alone; only the guilty sequence fails) -> advance -> said
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.llava.runner import Runner
from services.llava.sampling import Choice
from services.llava.scheduler import Chunk, Plan, Scheduler
from services.llava.sequence import Sequence as Row

Judge = Callable[[Exception], BaseException]


@dataclass(frozen=True, slots=True)
class Said:
    """A token of a sequence, or the reason why it ends without one; `end` is set when nothing more comes."""

    row: Row
    choice: Choice | None
    end: str | None = None
    error: BaseException | None = None


class Speaker:
    """Everybody who talks with one set of weights."""

    def __init__(self, scheduler: Scheduler, runner: Runner, *, judge: Judge, fatal: type[BaseException]) -> None:
        """`judge` translates an error of the device; one that is `fatal` leaves `step`."""
        self.scheduler, self._runner = scheduler, runner
        self._judge, self._fatal = judge, fatal

    def step(self) -> Iterator[Said]:
        """One step for everybody; what each said, and who is out."""
        plan = self.scheduler.plan(time.monotonic())
        for row, reason in plan.dropped:
            yield Said(row, None, reason)
        if plan.chunks:
            yield from self._compute(plan)

    def _compute(self, plan: Plan) -> Iterator[Said]:
        choices, failures = self._run(plan.chunks)
        for row, error in failures.items():
            self.scheduler.discard(row)
            yield Said(row, None, "error", error)
        plan.chunks = [chunk for chunk in plan.chunks if chunk.row not in failures]
        chosen = {chunk.row: choice for chunk, choice in zip(plan.chunks, choices, strict=True)}
        for row, _, end in self.scheduler.advance(plan, [choice.token for choice in choices]):
            yield Said(row, chosen[row], end)

    def _run(self, chunks: Sequence[Chunk]) -> tuple[list[Choice], dict[Row, BaseException]]:
        """The choices of the chunks that could be computed, in order, and why the others could not."""
        try:
            return self._runner.run(chunks), {}
        except Exception as raised:  # noqa: BLE001 -- the batch boundary
            error = self._judge(raised)
        if isinstance(error, self._fatal):
            raise error
        if len(chunks) == 1:
            return [], {chunks[0].row: error}
        choices, failures = [], dict[Row, BaseException]()
        for chunk in chunks:  # what was written before is written again, the same
            alone, failed = self._run([chunk])
            choices += alone
            failures |= failed
        return choices, failures
