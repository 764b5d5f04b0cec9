"""Greedy answers are transformers' own, token for token, whoever else speaks and whatever is in memory."""

import random
from collections.abc import Sequence as Several

import pytest

from services.llava.blocks import BLOCK
from services.llava.prompt import Prompt
from services.llava.sequence import Sequence
from services.llava.speaker import Speaker
from tests.services.llava import llavas
from tests.services.llava.llavas import END

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


@pytest.mark.parametrize("desk", [0, 200_000, 2**24], ids=["no desk", "a desk for some", "a desk for all"])
def test_answers_stay_the_same_when_memory_is_short(desk: int) -> None:
    model = llavas.llava()
    asked = prompts(30, seed=1)
    engine = llavas.speaker(model, blocks=14, budget=20, desk=desk)
    assert spoken(engine, asked, at_once=8, limit=40) == [llavas.generated(model, each, 40) for each in asked]
    assert engine.scheduler.preempted > 0


def test_pictures_of_576_tokens_are_read_in_parts() -> None:
    model = llavas.llava(side=96, patch=4)
    asked = [llavas.prompt([[1, 5], number, [6, 7, 8]], patches=576, side=96) for number in (1, 2, 1)]
    engine = llavas.speaker(model, budget=256, side=96)
    assert spoken(engine, asked, at_once=3) == [llavas.generated(model, each, LIMIT) for each in asked]
