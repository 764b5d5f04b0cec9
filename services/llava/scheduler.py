"""What the next step computes: a token for everyone who speaks, and as much of the prompts as the budget allows.

    waiting -> running: reads its prompt, in chunks -> speaks, a token a step -> ended
       ^          | memory is short: the youngest gives up its blocks, and reads again later

    plan(now)        drop who left or is late -> speakers -> readers, oldest first -> let in -> chunks
    launch(plan)     what was planned counts as computed, full blocks get names, sampled tokens are there but unknown
    advance(plan)    the sampled tokens are known, the ended leave

The next step may be planned before `advance` tells what this one said, so that the device need not wait for us. Whoever
turns out to have ended has then drawn a token too many, which is thrown away. Its blocks are free at once all the same:
the device computes in the order of the plans, so that whoever gets them writes later.

It decides and does not compute: no torch, no clock, no locks. Nobody starves: order is by arrival, and whoever came
first is never set back. Nothing deadlocks: the memory holds at least the longest sequence that is let in.
"""

from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from services.llava.blocks import BLOCK, Blocks
from services.llava.prompt import Digest
from services.llava.sequence import Sequence as Row

GONE, LATE = "gone", "late"
QUIET = 4


@dataclass(frozen=True, slots=True)
class Chunk:
    """The tokens `[start, stop)` of a sequence, to be computed now; the answer goes on where they are the last."""

    row: Row
    start: int
    stop: int
    samples: bool


@dataclass(slots=True)
class Plan:
    """One step: at most one chunk of each sequence. `dropped` have left the scheduler, each for a reason."""

    chunks: list[Chunk] = field(default_factory=list)
    dropped: list[tuple[Row, str]] = field(default_factory=list)
    coming: set[Digest] = field(default_factory=set)  # pictures that the tower must see in this step
    budget: int = 0  # what may still be read, of a `whole`
    whole: int = 0


class Scheduler:
    """The sequences of one set of weights, and the blocks of its memory."""

    def __init__(self, blocks: Blocks, *, rows: int, budget: int, seen: Callable[[Digest], bool]) -> None:
        """`rows` sequences run at once. A step reads `budget` tokens of prompts, and `QUIET` times as many while nobody
        speaks, who would have to wait for it.

        A picture that was not `seen` costs as many more as it has tokens, for the tower that must see it.
        """
        self.blocks, self.rows, self.budget = blocks, rows, budget
        self.waiting: list[Row] = []
        self.running: list[Row] = []
        self.preempted = 0
        self._seen = seen
        self._arrivals = 0

    @property
    def busy(self) -> bool:
        """Whether anybody waits or runs."""
        return bool(self.waiting or self.running)

    def add(self, row: Row) -> None:
        """Let a sequence wait. Raises `ValueError` for one that the memory could never hold."""
        if _blocks(len(row.prompt.tokens) + row.limit) > self.blocks.count:
            raise ValueError("longer than the memory")
        row.arrival, row.tokens = self._arrivals, list(row.prompt.tokens)
        self._arrivals += 1
        row.name()
        self.waiting.append(row)

    def plan(self, now: float) -> Plan:
        """The next step. It must be given to `launch`, or its sequences to `discard`, before the next plan."""
        plan = Plan()
        self._drop(now, plan)
        for row in [row for row in self.running if row.speaks and not row.drawn_out]:
            if row in self.running and self._has_room(row):
                plan.chunks.append(Chunk(row, row.done, row.done + 1, samples=True))
        plan.budget = plan.whole = self.budget if plan.chunks else QUIET * self.budget
        readers = [row for row in self.running if not row.speaks]
        for row in readers:
            if not self._read(row, plan):
                return plan
        self._let_in(plan)
        return plan

    def launch(self, plan: Plan) -> None:
        """Count a step as computed whose tokens nobody has looked at yet."""
        for chunk in plan.chunks:
            chunk.row.done = chunk.stop
            if chunk.samples:
                chunk.row.draw()
            self._name(chunk.row, since=chunk.start)

    def advance(self, plan: Plan, sampled: Sequence[int]) -> Iterator[tuple[Row, int, str | None]]:
        """What a step gave: each sequence that said a token, the token, and why that was its last one, if it was.

        `sampled` has a token for each chunk of the plan; it counts for those that sample and have not left meanwhile.
        The plans come in the order in which they were launched.
        """
        for chunk, token in zip(plan.chunks, sampled, strict=True):
            row = chunk.row
            if chunk.samples and not row.out:
                row.learn(token)
                self._name(row, since=chunk.stop)
                end = row.end
                if end:
                    self.discard(row)
                yield row, token, end

    def discard(self, row: Row) -> None:
        """Take a sequence out for good, wherever it is."""
        self._take_out(row)
        row.leave()

    def _take_out(self, row: Row) -> None:
        if row in self.running:
            self.running.remove(row)
        elif row in self.waiting:
            self.waiting.remove(row)
        self.blocks.release(row.blocks)
        row.blocks = []

    def _name(self, row: Row, *, since: int) -> None:
        """Tell what the full blocks of a sequence hold, from that of the token `since` on."""
        row.name()
        for index in range(since // BLOCK, min(row.done // BLOCK, len(row.names))):
            self.blocks.name(row.blocks[index], row.names[index])

    def _drop(self, now: float, plan: Plan) -> None:
        for row in [*self.running, *self.waiting]:
            reason = GONE if not row.wanted() else LATE if now >= row.deadline else None
            if reason:
                self.discard(row)
                plan.dropped.append((row, reason))

    def _has_room(self, row: Row) -> bool:
        """Whether there is a block for the next token; those who came later give theirs up for it."""
        while _blocks(len(row.tokens)) > len(row.blocks):
            if self.blocks.available:
                row.blocks.append(self.blocks.take())
                continue
            youngest = max(self.running, key=lambda other: other.arrival)
            self._set_back(youngest)
            if youngest is row:
                return False
        return True

    def _set_back(self, row: Row) -> None:
        self.preempted += 1
        self._take_out(row)
        row.done = 0
        insort(self.waiting, row, key=lambda other: other.arrival)

    def _let_in(self, plan: Plan) -> None:
        for row in list(self.waiting):
            if plan.budget <= 0 or len(self.running) >= self.rows:
                return
            if row.unknown:
                return  # set back while its token was on the way, which the next step knows
            if self._is_being_read(row):
                continue  # the next steps bring what it can use
            if not self._fits(row):
                return  # whoever came later waits as well, or a long prompt would starve
            self.waiting.remove(row)
            insort(self.running, row, key=lambda other: other.arrival)
            if not self._read(row, plan):
                return

    def _is_being_read(self, row: Row) -> bool:
        """Whether somebody computes the first block that this prompt could reuse and does not find."""
        at = len(self.blocks.find(row.reusable))
        missing = row.reusable[at : at + 1]
        return any(
            name in other.names[other.done // BLOCK :] for name in missing for other in self.running if not other.speaks
        )

    def _fits(self, row: Row) -> bool:
        """Give a sequence the blocks of its tokens, if everybody who runs can still go on for a block."""
        found = self.blocks.find(row.reusable)
        needed = _blocks(len(row.tokens)) - len(found)
        if self.blocks.available - self.blocks.cost(found) < needed + len(self.running):
            return False
        self.blocks.share(found)
        row.blocks = [*found, *(self.blocks.take() for _ in range(needed))]
        row.done = len(found) * BLOCK
        row.reused = max(row.reused, row.done)
        return True

    def _read(self, row: Row, plan: Plan) -> bool:
        """Plan the next chunk of a prompt; False where the budget has no room for it."""
        stop = min(len(row.tokens), row.done + max(plan.budget, 0))
        for span in row.prompt.within(row.done, stop):
            if span.start >= stop:
                break
            if span.digest in plan.coming or self._seen(span.digest):
                continue
            begin = max(row.done, span.start)
            first = plan.budget == plan.whole and begin == row.done
            if begin - row.done + span.length >= plan.budget and not first:
                stop = begin
                break
            plan.coming.add(span.digest)
            plan.budget -= span.length
            stop = min(stop, row.done + (plan.budget if plan.budget > 0 else BLOCK))
        if stop == row.done:
            return False
        plan.chunks.append(Chunk(row, row.done, stop, samples=stop == len(row.tokens)))
        plan.budget -= stop - row.done
        return True


def _blocks(tokens: int) -> int:
    return -(-tokens // BLOCK)
