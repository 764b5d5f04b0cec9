"""The step of everybody: a sequence that the network fails on fails alone, and nothing of it stays."""

from collections.abc import Sequence as Several

import pytest

from services.llava.runner import Launched, Runner
from services.llava.scheduler import Chunk
from services.llava.sequence import Sequence
from services.llava.speaker import Speaker
from tests.services.llava import llavas
from tests.services.llava.test_llava_parity import LIMIT, prompts, spoken

BAD = 95  # a token that the network below cannot stand


class Fragile:
    """The real runner, which raises whenever a chunk holds `BAD`."""

    def __init__(self, runner: Runner, error: Exception) -> None:
        self.runner, self.error = runner, error

    def launch(self, chunks: Several[Chunk], before: Launched | None = None) -> Launched:
        if any(BAD in chunk.row.prompt.tokens for chunk in chunks):
            raise self.error
        return self.runner.launch(chunks, before)


def fragile(error: Exception) -> Speaker:
    engine = llavas.speaker(llavas.llava())
    engine._runner = Fragile(engine._runner, error)  # type: ignore[assignment]
    return engine


def test_only_the_guilty_sequence_fails_and_the_others_say_what_they_would_say() -> None:
    good = [each for each in prompts(30, seed=5) if BAD not in each.tokens][:12]
    expected = spoken(llavas.speaker(llavas.llava()), good, at_once=1)
    engine = fragile(RuntimeError("device text"))
    rows = [Sequence(each, LIMIT, frozenset({llavas.END})) for each in good]
    bad = [Sequence(llavas.prompt([[1, BAD, 5]]), LIMIT) for _ in range(3)]
    for row in [*rows[:6], bad[0], *rows[6:], *bad[1:]]:
        engine.scheduler.add(row)
    failed = []
    while engine.scheduler.busy:
        failed += [said.row for said in engine.step() if said.error]
    assert set(failed) == set(bad)
    assert [row.tokens[len(row.prompt.tokens) :] for row in rows] == expected
    assert engine.scheduler.blocks.used == 0


def test_an_error_that_is_fatal_ends_the_step() -> None:
    engine = fragile(OSError("lost"))
    engine._fatal = OSError
    engine.scheduler.add(Sequence(llavas.prompt([[1, BAD]]), LIMIT))
    with pytest.raises(OSError, match="lost"):
        list(engine.step())
