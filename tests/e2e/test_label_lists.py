"""Many callers with label lists of their own, in shared batches: each gets its own labels, scored as if it were alone.

All of them ask for the same 64 things, so they share what is remembered of labels; but each spells them in its own way,
with its number as capitals, so that a label of another caller shows.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import scenes
from services.finetune.demo.words import PAIRS
from tests.e2e import held_out
from tests.e2e.pictures import text
from tests.house import House

CALLERS, TURNS = 32, 50  # with 64 boxes an answer, 102,400 labels are looked at
EVERY = {"threshold": 0, "max_detections": 300}


def spelled(phrase: str, caller: int) -> str:
    """The phrase with a capital wherever the caller's number has a bit: `Red Circle` style, but unique."""
    return "".join(letter.upper() if caller >> place & 1 else letter for place, letter in enumerate(phrase))


def test_no_label_of_one_caller_appears_in_the_answer_of_another(house: House) -> None:
    pictures = [text(held_out.picture(scene)) for scene in scenes(WHOLE, seed=held_out.SEED, count=CALLERS)]
    lists = [
        [spelled(pair.phrase(), caller) for pair in Random(caller).sample(PAIRS, 1 + caller % 16)]
        for caller in range(CALLERS)
    ]

    def ask(caller: int) -> list[dict[str, Any]]:
        fields = {"image": pictures[caller], "labels": lists[caller], **EVERY}
        answer = house.client.post("/v1/detect/open", json=fields).raise_for_status()
        found: list[dict[str, Any]] = answer.json()["data"]
        return found

    alone = [ask(caller) for caller in range(CALLERS)]

    def repeat(caller: int) -> int:
        for _ in range(TURNS):
            found, expected = ask(caller), alone[caller]
            assert all(item["label"] == lists[caller][item["label_id"]] for item in found)
            assert Counter(item["label"] for item in found) == Counter(item["label"] for item in expected)
            assert [i["score"] for i in found] == pytest.approx([i["score"] for i in expected], abs=1e-3)
        return TURNS * len(alone[caller])

    with ThreadPoolExecutor(CALLERS) as pool:
        assert sum(pool.map(repeat, range(CALLERS))) >= 100_000
