"""The scheduler by itself, in thousands of random lives: nobody is lost, set aside, or reads what another one wrote."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.llava.blocks import BLOCK, Blocks
from services.llava.prompt import Prompt, Span
from services.llava.scheduler import QUIET, Plan, Scheduler
from services.llava.sequence import UNKNOWN, Sequence


@dataclass
class Memory:
    """Stands for keys and values: each place holds a hash of all tokens and pictures up to and including its own."""

    places: dict[int, int] = field(default_factory=dict)
    pictures: set[bytes] = field(default_factory=set)
    histories: dict[Sequence, list[int]] = field(default_factory=dict)
    drawn: dict[tuple[Sequence, int], int] = field(default_factory=dict)  # what only the device may know yet

    def run(self, plan: Plan) -> list[int]:
        """Compute a step; every place that is read must hold what the sequence itself would have written."""
        self.pictures |= plan.coming
        for chunk in plan.chunks:
            row, history = chunk.row, self.history(chunk.row)
            places = [block * BLOCK + place for block in row.blocks for place in range(BLOCK)]
            assert [self.places[place] for place in places[: chunk.start]] == history[: chunk.start]
            self.places.update(zip(places[chunk.start : chunk.stop], history[chunk.start : chunk.stop], strict=True))
            assert all(span.digest in self.pictures for span in row.prompt.within(chunk.start, chunk.stop))
        sampled = [self.history(chunk.row)[-1] % 97 for chunk in plan.chunks]
        self.drawn.update(
            ((chunk.row, chunk.stop), token) for chunk, token in zip(plan.chunks, sampled, strict=True) if chunk.samples
        )
        return sampled

    def history(self, row: Sequence) -> list[int]:
        """A hash for each token of `row`: of it and of all before it."""
        known = self.histories.setdefault(row, [])
        for position in range(len(known), len(row.tokens)):
            picture = tuple((span.start, span.digest) for span in row.prompt.within(position, position + 1))
            token = self.drawn.get((row, position), row.tokens[position])
            assert token != UNKNOWN and row.tokens[position] in (token, UNKNOWN)
            known.append(hash((known[-1] if known else row.prompt.salt, token, picture)))
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


def told(scheduler: Scheduler, plan: Plan, sampled: list[int]) -> list[Sequence]:
    """Launch a step and look at it at once; those who have ended."""
    scheduler.launch(plan)
    return [row for row, _, end in scheduler.advance(plan, sampled) if end]


def alone(row: Sequence) -> list[int]:
    """What the sequence says when nobody else is there."""
    memory = Memory()
    scheduler = Scheduler(Blocks(40), rows=1, budget=1000, seen=memory.pictures.__contains__)
    again = Sequence(row.prompt, row.limit, row.ends)
    scheduler.add(again)
    while scheduler.busy:
        plan = scheduler.plan(0)
        told(scheduler, plan, memory.run(plan))
    return again.tokens


@pytest.mark.parametrize("ahead", [False, True], ids=["each step known before the next", "known a step late"])
def test_everybody_says_what_they_would_say_alone(ahead: bool) -> None:
    @settings(max_examples=1000, deadline=None)
    @given(st.integers(0, 10**9))
    def lives(seed: int) -> None:
        live(random.Random(seed), ahead=ahead)

    lives()


def live(chance: random.Random, *, ahead: bool) -> None:
    """One random life of a scheduler, from the first sequence to the last."""
    memory, blocks, rows = Memory(), chance.randrange(10, 40), chance.randrange(1, 8)
    budget = chance.choice((1, 7, 20, 64, 500))
    scheduler = Scheduler(Blocks(blocks), rows=rows, budget=budget, seen=memory.pictures.__contains__)
    coming = [sequence(chance, limit=10 * BLOCK - 130 if blocks < 12 else 30) for _ in range(chance.randrange(1, 16))]
    everybody, said = list(coming), {row: list[int]() for row in coming}
    ended, left, unseen = set[Sequence](), set[Sequence](), list[tuple[Plan, list[int]]]()

    def look(keep: int = 0) -> None:
        while len(unseen) > keep:
            for row, token, end in scheduler.advance(*unseen.pop(0)):
                assert row not in left, "nothing more is told of who was dropped"
                said[row].append(token)
                if end:
                    ended.add(row)
                    assert not row.blocks, "what ended holds nothing, though a token too many is on the way"

    for _ in range(100_000):
        while coming and chance.random() < 0.4:
            scheduler.add(coming.pop())
        for row in [*scheduler.running, *scheduler.waiting]:
            if chance.random() < 0.002:
                row.wanted = lambda: False
        if chance.random() < 0.05:
            look()  # as where a choice depends on the tokens before it
        speaking = {row for row in scheduler.running if row.speaks}
        plan = scheduler.plan(0)
        assert plan.chunks or unseen or not scheduler.busy, "a step that does nothing would never end"
        check(scheduler, plan, speaking, rows=rows, budget=budget)
        left.update(row for row, _ in plan.dropped)
        unseen.append((plan, memory.run(plan)))
        scheduler.launch(plan)
        look(keep=1 if ahead and plan.chunks else 0)
        if not coming and not scheduler.busy:
            break
    assert ended | left == set(everybody) and not ended & left
    assert scheduler.blocks.available == blocks
    for row in ended:
        assert row.tokens == alone(row) == [*row.prompt.tokens, *said[row]]


def check(scheduler: Scheduler, plan: Plan, speaking: set[Sequence], *, rows: int, budget: int) -> None:
    """What holds of every step."""
    assert len(scheduler.running) <= rows
    assert len({chunk.row for chunk in plan.chunks}) == len(plan.chunks)
    read = sum(chunk.stop - chunk.start for chunk in plan.chunks if chunk.stop - chunk.start > 1)
    pictures = sum(span.length for digest in plan.coming for span in first(plan, digest))
    assert read + pictures <= max(plan.whole, 40 + BLOCK), plan
    assert plan.whole == (budget if any(chunk.row in speaking for chunk in plan.chunks) else QUIET * budget)
    held = [block for row in scheduler.running for block in row.blocks]
    assert scheduler.blocks.used == len(set(held))
    for row in scheduler.running:
        assert len(set(row.blocks)) == len(row.blocks)
        assert row.unknown <= 1 and row.limit >= len(row.tokens) - len(row.prompt.tokens)


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
        ended += told(scheduler, plan, [7] * len(plan.chunks))
    assert ended[0] is rows[0]
    assert scheduler.preempted > 0


def test_a_token_too_many_is_thrown_away_and_none_is_drawn_beyond_the_limit() -> None:
    scheduler = Scheduler(Blocks(9), rows=4, budget=500, seen=lambda _: True)
    stopped, counted = Sequence(Prompt((1,)), limit=9, ends=frozenset({5})), Sequence(Prompt((2,)), limit=2)
    for row in (stopped, counted):
        scheduler.add(row)
    plans = []
    for _ in range(3):
        plans.append(scheduler.plan(0))
        scheduler.launch(plans[-1])
    assert [[chunk.row for chunk in plan.chunks] for plan in plans] == [
        [stopped, counted],
        [stopped, counted],
        [stopped],
    ]
    said = [
        (row, token, end) for plan in plans for row, token, end in scheduler.advance(plan, [5, 6][: len(plan.chunks)])
    ]
    assert said == [(stopped, 5, "stop"), (counted, 6, None), (counted, 6, "length")]
    assert (stopped.tokens, counted.tokens) == ([1, 5], [2, 6, 6])
    assert scheduler.blocks.used == 0


def test_who_is_set_back_waits_for_the_token_that_is_on_its_way() -> None:
    scheduler = Scheduler(Blocks(3), rows=2, budget=500, seen=lambda _: True)
    first, second = (Sequence(Prompt((n,) * (BLOCK - 1)), limit=20) for n in range(2))
    for row in (first, second):
        scheduler.add(row)
    before = scheduler.plan(0)
    scheduler.launch(before)
    while not scheduler.preempted:
        plan = scheduler.plan(0)
        scheduler.launch(plan)
        if not scheduler.preempted:
            list(scheduler.advance(before, [7] * len(before.chunks)))
            before = plan
    assert second.unknown and second in scheduler.waiting
    list(scheduler.advance(before, [8] * len(before.chunks)))
    assert second.tokens[-1] == 8 and not second.unknown


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
        told(scheduler, plan, [0])


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
        told(scheduler, plan, [7] * len(plan.chunks))
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
