"""Greedy answers are transformers' own, token for token, whoever else speaks and whatever is in memory."""

import random
from collections.abc import Sequence as Several
from functools import partial

import pytest

from services.llava.blocks import BLOCK
from services.llava.prompt import Prompt
from services.llava.sampling import Sampling
from services.llava.sequence import Sequence
from services.llava.speaker import Speaker
from tests.services.llava import llavas
from tests.services.llava.llavas import END, Room

LIMIT = 12


def prompts(count: int, *, seed: int = 0) -> list[Prompt]:
    """Of 2 to 60 tokens and up to four pictures, some of them the same; many begin alike."""
    chance = random.Random(seed)

    def words() -> list[int]:
        return [chance.randrange(4, 96) for _ in range(chance.randrange(1, 12))]

    def one() -> Prompt:
        parts: list[list[int] | int] = [[1, *([7] * chance.choice((0, 20)))], words()]
        for _ in range(chance.randrange(5)):
            parts += [chance.randrange(6), words()]
        return llavas.prompt(parts)

    return [one() for _ in range(count)]


def spoken(engine: Speaker, asked: Several[Prompt], *, at_once: int, limit: int = LIMIT) -> list[list[int]]:
    """The answers of the engine, with `at_once` prompts in it at any time."""
    rows = [Sequence(each, limit, frozenset({END})) for each in asked]
    coming = list(reversed(rows))
    while coming or engine.scheduler.busy:
        while coming and len(engine.scheduler.running) + len(engine.scheduler.waiting) < at_once:
            engine.scheduler.add(coming.pop())
        assert not [said for said in engine.step() if said.error]
    return [row.tokens[len(row.prompt.tokens) :] for row in rows]


def told(engine: Speaker, asked: Several[Prompt]) -> list[list[int]]:
    """Tokens as they are told to callers with wishes of all kinds; every fifth leaves after a few."""
    wishes = [
        Sampling(
            seed=number, temperature=number % 3 / 2, top_p=0.9, top_k=number % 4 * 10, logprobs=(None, 2)[number % 2]
        )
        if number % 7
        else Sampling(seed=number, temperature=0.7, frequency_penalty=0.5, repetition_penalty=1.2)
        for number in range(len(asked))
    ]
    rows = [Sequence(each, LIMIT, frozenset({END}), sampling=how) for each, how in zip(asked, wishes, strict=True)]
    heard: dict[Sequence, list[int]] = {row: [] for row in rows}
    for number, row in enumerate(rows):
        if number % 5 == 0:
            row.wanted = partial(lambda tokens, most: len(tokens) < most, heard[row], 1 + number % 4)
        engine.scheduler.add(row)
    while engine.scheduler.busy:
        for said in engine.step():
            assert not said.error
            if said.choice and said.row.wanted():
                heard[said.row].append(said.choice.token)
    assert all(len(tokens) == row.said for row, tokens in heard.items() if row.wanted())
    return list(heard.values())


@pytest.mark.parametrize("shared", [4, 2], ids=["each head its own keys", "two heads share keys"])
def test_answers_are_those_of_generate_alone_and_among_15_others_twice(shared: int) -> None:
    model = llavas.llava(shared=shared)
    asked = prompts(200)
    expected = [llavas.generated(model, each, LIMIT) for each in asked]
    assert len({tuple(each) for each in expected}) > 50
    assert spoken(llavas.speaker(model), asked[:60], at_once=1) == expected[:60]
    engine = llavas.speaker(model)
    for _ in range(2):  # the second time much is in memory
        assert spoken(engine, asked, at_once=16) == expected
    again = Sequence(asked[-1], 1)
    engine.scheduler.add(again)
    list(engine.step())
    assert again.reused == (len(asked[-1].tokens) - 1) // BLOCK * BLOCK


@pytest.mark.parametrize(
    ("ahead", "shared", "room"),
    [(False, 2, Room(desk=0)), (True, 4, Room(desk=0)), (True, 2, Room(fixed=True))],
    ids=["each step seen at once", "a step late", "a step late, at a desk"],
)
def test_answers_are_the_same_in_shapes_that_come_again_and_when_steps_are_seen_late(
    ahead: bool, shared: int, room: Room
) -> None:
    model = llavas.llava(shared=shared)
    asked = prompts(200, seed=2)
    expected = [llavas.generated(model, each, LIMIT) for each in asked]
    assert {len(each) for each in expected} > {1, LIMIT}, "some end by the mark of their end, others by the limit"
    engine = llavas.speaker(model, room, graphs=False, ahead=ahead)
    for at_once in (1, 3, 16):
        assert spoken(engine, asked, at_once=at_once) == expected
    assert engine.scheduler.blocks.used == 0 and engine._unseen is None


def test_seen_late_nobody_says_a_token_more_or_other_than_seen_at_once() -> None:
    """Drawn with seeds, penalties, log-probabilities; some callers leave in the middle, as at a stop string."""
    model, asked = llavas.llava(), prompts(200, seed=3)
    seen, late = (
        told(llavas.speaker(model, graphs=graphs, ahead=ahead), asked)
        for graphs, ahead in ((None, False), (False, True))
    )
    assert late == seen
    assert len({tuple(each) for each in seen}) > 50


@pytest.mark.parametrize(
    ("desk", "graphs", "ahead"),
    [(0, None, False), (200_000, None, False), (2**24, None, False), (0, False, True)],
    ids=["no desk", "a desk for some", "a desk for all", "shapes that come again, seen a step late"],
)
def test_answers_stay_the_same_when_memory_is_short(desk: int, graphs: bool | None, ahead: bool) -> None:
    model = llavas.llava()
    asked = prompts(30, seed=1)
    engine = llavas.speaker(model, Room(blocks=14, budget=20, desk=desk), graphs=graphs, ahead=ahead)
    assert spoken(engine, asked, at_once=8, limit=40) == [llavas.generated(model, each, 40) for each in asked]
    assert engine.scheduler.preempted > 0


def test_pictures_of_576_tokens_are_read_in_parts() -> None:
    model = llavas.llava(side=96, patch=4)
    asked = [llavas.prompt([[1, 5], number, [6, 7, 8]], patches=576, side=96) for number in (1, 2, 1)]
    engine = llavas.speaker(model, Room(budget=256))
    assert spoken(engine, asked, at_once=3) == [llavas.generated(model, each, LIMIT) for each in asked]
