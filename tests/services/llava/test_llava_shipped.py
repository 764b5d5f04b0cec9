"""The shipped LLaVA says, greedily, what transformers says with it: 200 conversations with none to four pictures."""

import random

import pytest

from services.finetune.demo.dialogues import turn
from services.finetune.demo.facts import KINDS
from services.finetune.demo.llava_training import FEW
from services.finetune.demo.scenes import scenes
from services.llava.chat import Message, Picture, Talk
from services.llava.model import Llava
from services.llava.speaker import Speaker
from shared.weights.seed import shipped
from tests.e2e.held_out import SEED, picture
from tests.services.llava import llavas
from tests.services.llava.test_llava_parity import spoken

LIMIT = 16
(VERSION,) = (shipped() / "models/llava").iterdir()


@pytest.fixture(scope="module")
def llava() -> Llava:
    model = Llava(llavas.CPU)
    model.use(model.read(VERSION))
    return model


def talks(count: int) -> list[Talk]:
    """One or two turns about up to four pictures, some of which several talks show."""
    chance = random.Random(7)
    shown = list(scenes(FEW, seed=SEED, count=40))
    files = [picture(each) for each in shown]

    def one() -> Talk:
        numbers = [chance.randrange(len(shown)) for _ in range(chance.randrange(5))]
        first, then = (turn(shown[numbers[0] if numbers else 0], dict.fromkeys(KINDS, 1.0), chance) for _ in range(2))
        turns = [Message("user", (*(Picture(files[number]) for number in numbers), first.question))]
        if chance.random() < 0.3:
            turns += [Message("assistant", (first.answer,)), Message("user", (then.question,))]
        return Talk(tuple(turns), limit=LIMIT)

    return [one() for _ in range(count)]


def test_its_answers_are_those_of_generate_alone_and_among_15_others_new_and_remembered(llava: Llava) -> None:
    asked = [llava.preprocess(talk).prompt for talk in talks(200)]
    state = llava.serving.state
    expected = [llavas.generated(state.module, each, LIMIT, pixels=state.pixels) for each in asked]
    assert len({tuple(each) for each in expected}) > 50

    def engine() -> Speaker:
        return llava.serving.apart(rows=16, tokens=400)

    assert spoken(engine(), asked[:50], at_once=1, limit=LIMIT) == expected[:50]
    among = engine()
    for _ in range(2):  # the second time much is in memory
        assert spoken(among, asked, at_once=16, limit=LIMIT) == expected
