"""The scheduler by itself, in thousands of random lives: nobody is lost, set aside, or reads what another one wrote."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.llava.blocks import BLOCK, Blocks
from services.llava.prompt import Prompt, Span
from services.llava.scheduler import QUIET, Plan, Scheduler
from services.llava.sequence import Sequence


@dataclass
class Memory:
    """Stands for keys and values: each place holds a hash of all tokens and pictures up to and including its own."""

    places: dict[int, int] = field(default_factory=dict)
    pictures: set[bytes] = field(default_factory=set)
    histories: dict[Sequence, list[int]] = field(default_factory=dict)

    def run(self, plan: Plan) -> list[int]:
        """Compute a step; every place that is read must hold what the sequence itself would have written."""
        self.pictures |= plan.coming
        for chunk in plan.chunks:
            row, history = chunk.row, self.history(chunk.row)
            places = [block * BLOCK + place for block in row.blocks for place in range(BLOCK)]
            assert [self.places[place] for place in places[: chunk.start]] == history[: chunk.start]
            self.places.update(zip(places[chunk.start : chunk.stop], history[chunk.start : chunk.stop], strict=True))
            assert all(span.digest in self.pictures for span in row.prompt.within(chunk.start, chunk.stop))
        return [self.history(chunk.row)[-1] % 97 for chunk in plan.chunks]

    def history(self, row: Sequence) -> list[int]:
        """A hash for each token of `row`: of it and of all before it."""
        known = self.histories.setdefault(row, [])
        for position in range(len(known), len(row.tokens)):
            picture = tuple((span.start, span.digest) for span in row.prompt.within(position, position + 1))
            known.append(hash((known[-1] if known else row.prompt.salt, row.tokens[position], picture)))
        return known


def prompt(chance: random.Random) -> Prompt:
    """Few different beginnings, so that many share theirs; some with a picture."""
    tokens = [chance.randrange(2)] * chance.randrange(1, 50)
    tokens += [chance.randrange(5) for _ in range(chance.randrange(1, 40))]
    spans: tuple[Span, ...] = ()
    if chance.random() < 0.5:
        number, at = chance.randrange(3), chance.choice((0, 3, len(tokens) - 1))
        length = (10, 24, 40)[number]
        tokens[at:at] = [96] * length
        spans = (Span(at, length, bytes([number])),)
    return Prompt(tuple(tokens), spans, salt=bytes([chance.randrange(2)]))


def sequence(chance: random.Random, *, limit: int = 40) -> Sequence:
    ends = frozenset({chance.randrange(97) for _ in range(chance.randrange(3))})
    return Sequence(prompt(chance), limit=chance.randrange(1, limit), ends=ends)


def alone(row: Sequence) -> list[int]:
    """What the sequence says when nobody else is there."""
    memory = Memory()
    scheduler = Scheduler(Blocks(40), rows=1, budget=1000, seen=memory.pictures.__contains__)
    again = Sequence(row.prompt, row.limit, row.ends)
    scheduler.add(again)
    while scheduler.busy:
        plan = scheduler.plan(0)
        list(scheduler.advance(plan, memory.run(plan)))
    return again.tokens


@settings(max_examples=1000, deadline=None)
@given(st.integers(0, 10**9))
def test_everybody_says_what_they_would_say_alone(seed: int) -> None:
    chance, memory = random.Random(seed), Memory()
    blocks, rows, budget = chance.randrange(10, 40), chance.randrange(1, 8), chance.choice((1, 7, 20, 64, 500))
    scheduler = Scheduler(Blocks(blocks), rows=rows, budget=budget, seen=memory.pictures.__contains__)
    coming = [sequence(chance, limit=10 * BLOCK - 130 if blocks < 12 else 30) for _ in range(chance.randrange(1, 16))]
    everybody, ended, left = list(coming), set[Sequence](), set[Sequence]()
    for _ in range(100_000):
        while coming and chance.random() < 0.4:
            scheduler.add(coming.pop())
        for row in [*scheduler.running, *scheduler.waiting]:
            if chance.random() < 0.002:
                left.add(row)
                row.wanted = lambda: False
        speaking = {row for row in scheduler.running if row.speaks}
        plan = scheduler.plan(0)
        check(scheduler, plan, speaking, rows=rows, budget=budget)
        left.update(row for row, _ in plan.dropped)
        ended.update(row for row, _, end in scheduler.advance(plan, memory.run(plan)) if end)
        if not coming and not scheduler.busy:
            break
    assert ended | left == set(everybody) and not ended & left
    assert scheduler.blocks.available == blocks
    for row in ended:
        assert row.tokens == alone(row)


def check(scheduler: Scheduler, plan: Plan, speaking: set[Sequence], *, rows: int, budget: int) -> None:
    """What holds of every step."""
    assert len(scheduler.running) <= rows
    assert len({chunk.row for chunk in plan.chunks}) == len(plan.chunks)
    assert plan.chunks or not scheduler.busy, "a step that does nothing would never end"
    read = sum(chunk.stop - chunk.start for chunk in plan.chunks if chunk.stop - chunk.start > 1)
    pictures = sum(span.length for digest in plan.coming for span in first(plan, digest))
    assert read + pictures <= max(plan.whole, 40 + BLOCK), plan
    assert plan.whole == (budget if any(chunk.row in speaking for chunk in plan.chunks) else QUIET * budget)
    held = [block for row in scheduler.running for block in row.blocks]
    assert scheduler.blocks.used == len(set(held))
    for row in scheduler.running:
        assert len(set(row.blocks)) == len(row.blocks)


def first(plan: Plan, digest: bytes) -> list[Span]:
    spans = [span for chunk in plan.chunks for span in chunk.row.prompt.spans if span.digest == digest]
    return spans[:1]


def test_what_could_never_fit_is_not_let_in() -> None:
    scheduler = Scheduler(Blocks(2), rows=1, budget=8, seen=lambda _: True)
    with pytest.raises(ValueError, match="memory"):
        scheduler.add(Sequence(Prompt((1,) * 20), limit=2 * BLOCK - 19))
    scheduler.add(Sequence(Prompt((1,) * 20), limit=2 * BLOCK - 20))


def test_the_first_to_come_is_never_set_back() -> None:
    scheduler = Scheduler(Blocks(7), rows=4, budget=500, seen=lambda _: True)
    rows = [Sequence(Prompt((n,) * 20), limit=60) for n in range(3)]
    for row in rows:
        scheduler.add(row)
    ended = []
    while scheduler.busy:
        plan = scheduler.plan(0)
        ended += [row for row, _, end in scheduler.advance(plan, [7] * len(plan.chunks)) if end]
    assert ended[0] is rows[0]
    assert scheduler.preempted > 0


def test_who_is_late_is_dropped_and_who_left_too() -> None:
    scheduler = Scheduler(Blocks(9), rows=4, budget=500, seen=lambda _: True)
    late, gone = Sequence(Prompt((1,)), limit=9, deadline=5.0), Sequence(Prompt((2,)), limit=9, wanted=lambda: False)
    for row in (late, gone):
        scheduler.add(row)
    assert scheduler.plan(4.9).dropped == [(gone, "gone")]
    assert scheduler.plan(5.0).dropped == [(late, "late")]
    assert not scheduler.busy


def test_a_prompt_that_begins_like_one_in_memory_is_read_from_there() -> None:
    scheduler = Scheduler(Blocks(9), rows=4, budget=500, seen=lambda _: True)
    shared = tuple(range(3 * BLOCK))
    for tail, computed in (((1, 2), 3 * BLOCK + 2), ((3, 4, 5), 3)):
        scheduler.add(Sequence(Prompt(shared + tail), limit=1))
        plan = scheduler.plan(0)
        assert sum(chunk.stop - chunk.start for chunk in plan.chunks) == computed
        list(scheduler.advance(plan, [0]))


def test_several_answers_to_one_prompt_read_it_once() -> None:
    scheduler = Scheduler(Blocks(20), rows=4, budget=500, seen=lambda _: True)
    same = Prompt(tuple(range(3 * BLOCK + 5)))
    rows = [Sequence(same, limit=2) for _ in range(4)]
    for row in rows:
        scheduler.add(row)
    computed = 0
    while scheduler.busy:
        plan = scheduler.plan(0)
        computed += sum(chunk.stop - chunk.start for chunk in plan.chunks)
        list(scheduler.advance(plan, [7] * len(plan.chunks)))
    assert computed == len(same.tokens) + 3 * 5 + 4


def test_a_new_picture_waits_until_the_budget_of_a_step_has_room_for_it() -> None:
    scheduler = Scheduler(Blocks(40), rows=4, budget=100 // QUIET, seen=lambda _: False)
    picture = Span(30, 64, b"a")
    scheduler.add(Sequence(Prompt((1,) * 120, (picture,)), limit=1))
    plan = scheduler.plan(0)
    assert [(chunk.start, chunk.stop) for chunk in plan.chunks] == [(0, 66)] or plan.coming == {b"a"}


def test_pictures_with_equal_tokens_are_told_apart() -> None:
    tokens = (9,) * (2 * BLOCK)
    prompts = [Prompt(tokens, (Span(0, 2 * BLOCK, digest),)) for digest in (b"a", b"b")]
    names = [each.key(b"", list(tokens[:BLOCK]), 0) for each in prompts]
    assert names[0] != names[1]
    shifted = Prompt(tokens, (Span(1, 2 * BLOCK - 1, b"a"),))
    assert shifted.key(b"", list(tokens[:BLOCK]), 0) != names[0]
