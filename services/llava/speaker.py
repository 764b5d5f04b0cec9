"""The scheduler and the runner of one set of weights: step by step, from sequences to what they say.

add -> step: plan -> launch (raises -> each chunk alone; only the guilty sequence fails) -> advance -> said
   `ahead`:  plan -> launch -> advance of the step before -> said, while the device computes this one

Ahead, the device goes from step to step without waiting for us. Where the choice of a token depends on those before it,
the step before is looked at first.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.llava.runner import Launched, Runner
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

    def __init__(
        self, scheduler: Scheduler, runner: Runner, *, judge: Judge, fatal: type[BaseException], ahead: bool = False
    ) -> None:
        """`judge` translates an error of the device; one that is `fatal` leaves `step`.

        `ahead` launches a step before it looks at what the one before it said.
        """
        self.scheduler, self._runner = scheduler, runner
        self._judge, self._fatal, self._ahead = judge, fatal, ahead
        self._unseen: tuple[Plan, Launched] | None = None  # the step that was launched and not looked at

    def step(self) -> Iterator[Said]:
        """One step for everybody; what each said, and who is out."""
        if any(row.sampling and row.sampling.looks_back for row in self.scheduler.running):
            yield from self._look()
        plan = self.scheduler.plan(time.monotonic())
        for row, reason in plan.dropped:
            yield Said(row, None, reason)
        if plan.chunks:
            yield from self._compute(plan)
        else:
            yield from self._look()
        if not self.scheduler.busy:
            self._unseen = None  # tokens too many of those who have ended

    def _compute(self, plan: Plan) -> Iterator[Said]:
        launched = self._launched(plan)
        if isinstance(launched, BaseException):
            yield from self._apart(plan, launched)
            return
        self.scheduler.launch(plan)
        before, self._unseen = self._unseen, (plan, launched)
        yield from self._told(before)
        if not self._ahead:
            yield from self._look()

    def _launched(self, plan: Plan) -> Launched | BaseException:
        """A step on its way, or why there is none. Raises what is fatal."""
        try:
            return self._runner.launch(plan.chunks, self._unseen and self._unseen[1])
        except Exception as raised:  # noqa: BLE001 -- the batch boundary
            error = self._judge(raised)
        if isinstance(error, self._fatal):
            raise error
        return error

    def _look(self) -> Iterator[Said]:
        """What the last step said, if nobody knows yet."""
        unseen, self._unseen = self._unseen, None
        yield from self._told(unseen)

    def _told(self, step: tuple[Plan, Launched] | None) -> Iterator[Said]:
        if step:
            plan, launched = step
            choices = launched.choices()
            chosen = {chunk.row: choice for chunk, choice in zip(plan.chunks, choices, strict=True)}
            for row, _, end in self.scheduler.advance(plan, [choice.token for choice in choices]):
                yield Said(row, chosen[row], end)

    def _apart(self, plan: Plan, error: BaseException) -> Iterator[Said]:
        """Each chunk alone, where they failed together; what was written before is written again, the same."""
        yield from self._look()
        for chunk in plan.chunks:
            if not chunk.row.out:
                yield from self._alone(chunk, error if len(plan.chunks) == 1 else None)

    def _alone(self, chunk: Chunk, error: BaseException | None) -> Iterator[Said]:
        plan = Plan([chunk])
        launched = error or self._launched(plan)
        if isinstance(launched, BaseException):
            self.scheduler.discard(chunk.row)
            yield Said(chunk.row, None, "error", launched)
        else:
            self.scheduler.launch(plan)
            yield from self._told((plan, launched))
