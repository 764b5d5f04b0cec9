"""Many callers with label lists of their own, through the real engine: nobody gets another's labels or boxes."""

import asyncio
import random
import time
from collections import defaultdict

import pytest

from services.owlvit.model import Item, OwlVit, TextQuery
from shared.images.detections import Detections
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.model import Identity
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from tests.services.owlvit.owls import ALL, CPU, FILES, ask, detector, run, version

CALLERS, ROUNDS, VOCABULARY = 32, 12, 60


def test_no_caller_gets_a_label_or_a_box_of_another() -> None:
    rng = random.Random(5)
    queries = [
        [ask(*rng.sample([f"q{n}" for n in range(VOCABULARY)], rng.randint(1, 9))) for _ in range(ROUNDS)]
        for _ in range(CALLERS)
    ]
    answers, sizes = asyncio.run(_storm(queries))
    alone = _alone(queries)
    checks = 0
    for caller, (asked, answered) in enumerate(zip(queries, answers, strict=True)):
        for query, found in zip(asked, answered, strict=True):
            names = [label.name for label in query.labels]
            expected = alone[query][caller % len(FILES)]
            assert [one.score for one in found.items] == pytest.approx([o.score for o in expected.items], abs=1e-4)
            for one in found.items:
                assert one.label == names[one.label_id]
                checks += 1
    assert checks >= 10_000
    assert max(sizes) >= 4, "batches were mixed"


async def _storm(queries: list[list[TextQuery]]) -> tuple[list[list[Detections]], list[int]]:
    owl, sizes = OwlVit(CPU), list[int]()
    lane = Lane("owlvit", lambda: owl, BatchQueue(limit=64, max_items=8, max_cost=10**9))
    engine = Engine("test", [lane], pool=Pool(2, limit=500), on_lost=lambda: None)
    engine.start()
    await engine.take_over("owlvit", version("owlvit"), Identity("owlvit", "v1", "sha256:1"))
    tower = owl.serving.network.towers.vision_model
    tower.register_forward_hook(lambda _, __, kwargs, ___: sizes.append(len(kwargs["pixel_values"])), with_kwargs=True)

    async def caller(number: int) -> list[Detections]:
        data = FILES[number % len(FILES)]
        deadline = time.monotonic() + 60
        return [
            (await engine.infer("owlvit", Item(data, query, ALL), deadline=deadline)).result
            for query in queries[number]
        ]

    try:
        return await asyncio.gather(*map(caller, range(CALLERS))), sizes
    finally:
        await engine.close()


def _alone(queries: list[list[TextQuery]]) -> dict[TextQuery, dict[int, Detections]]:
    """What each query finds in its picture when nobody else asks."""
    owl = detector()
    found: dict[TextQuery, dict[int, Detections]] = defaultdict(dict)
    for caller, asked in enumerate(queries):
        for query in asked:
            number = caller % len(FILES)
            found[query][number] = run(owl, [FILES[number]], query)[0]
    return found
