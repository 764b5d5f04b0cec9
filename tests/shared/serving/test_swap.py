"""New weights beside the old: what is proved before anybody is served by it, who answers whom, and the way back."""

import asyncio
import time
import weakref
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar, TypeVar

import pytest
from structlog.testing import capture_logs

from shared.errors import Conflict
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.metrics import MODEL_INFO, MODEL_RELOADS
from shared.serving.model import RefusedWeights
from shared.serving.swap import Swaps
from shared.weights.errors import BadName, NotInStore
from shared.weights.store import Store
from tests.shared.serving.counting import soon
from tests.shared.serving.factors import NAME, Factor, pool, publish, published, queue, swaps_of

T = TypeVar("T")


def served(
    store: Store,
    body: Callable[[Swaps], Awaitable[T]],
    *,
    wait: float = 60,
    reference: str = NAME,
    model: type[Factor] = Factor,
) -> T:
    """Run `body` where the champion of `store` serves."""

    async def main() -> T:
        engine = Engine("test", [Lane(NAME, model, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        swaps = swaps_of(engine, store, wait=wait, reference=reference)
        await swaps.load(NAME)
        try:
            return await asyncio.wait_for(body(swaps), 60)
        finally:
            await engine.close()

    return asyncio.run(main())


async def asked(swaps: Swaps, number: int = 1) -> tuple[int, str]:
    """The answer, and the version that gave it."""
    answer = await swaps.engine.infer(NAME, number, deadline=soon(30))
    return answer.result, answer.identity.version


async def swapped(swaps: Swaps, version: str) -> None:
    weights = await swaps.prepare(NAME, version, by="ada")
    swaps.commit(NAME, weights.identity.digest, by="ada")


def test_prepared_weights_serve_nobody_before_their_commit_and_everybody_after_it(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps) -> list[tuple[int, str]]:
        before = await asked(swaps)
        weights = await swaps.prepare(NAME, "v3", by="ada")
        between = await asked(swaps)
        swaps.commit(NAME, weights.identity.digest, by="ada")
        return [before, between, await asked(swaps)]

    assert served(store, body) == [(2, "v2"), (2, "v2"), (3, "v3")]


def test_the_weights_before_are_warm_and_a_way_back_takes_no_time(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps) -> tuple[float, list[tuple[int, str]]]:
        first = swaps.engine.weights(NAME)
        await swapped(swaps, "v3")
        began = time.monotonic()
        swaps.roll_back(NAME, first.identity.digest, by="ada")
        took = time.monotonic() - began
        back = await asked(swaps)
        assert swaps.engine.weights(NAME) is first
        swaps.roll_back(NAME, store.resolve(f"{NAME}@v3").digest, by="ada")
        return took, [back, await asked(swaps)]

    took, answers = served(store, body)
    assert answers == [(2, "v2"), (3, "v3")]
    assert took < 0.05


def test_a_request_is_answered_by_the_weights_that_served_when_it_was_accepted(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    publish(store, "slow", factor=5, seconds=0.2)
    publish(store, "slower", factor=7, seconds=0.3)
    store.move_alias(NAME, "champion", "slow", expected="v2")

    async def body(swaps: Swaps) -> list[tuple[int, str]]:
        await swaps.prepare(NAME, "slower", by="ada")
        old = [asyncio.create_task(asked(swaps, number)) for number in range(12)]
        await asyncio.sleep(0.05)
        swaps.commit(NAME, store.resolve(f"{NAME}@slower").digest, by="ada")
        new = [asyncio.create_task(asked(swaps, number)) for number in range(4)]
        return [*await asyncio.gather(*old, *new)]

    answers = served(store, body)
    assert answers[:12] == [(5 * number, "slow") for number in range(12)]
    assert answers[12:] == [(7 * number, "slower") for number in range(4)]


def test_no_answer_is_lost_or_mixed_over_a_hundred_swaps_under_load(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def client(swaps: Swaps, number: int, done: asyncio.Event) -> int:
        count = 0
        while not done.is_set():
            answers = await swaps.engine.infer_all(NAME, [number] * 3, deadline=soon(30))
            (version,) = {answer.identity.version for answer in answers}
            assert {answer.result for answer in answers} == {number * int(version[1:])}
            count += 1
        return count

    async def body(swaps: Swaps) -> int:
        done = asyncio.Event()
        clients = [asyncio.create_task(client(swaps, number, done)) for number in range(1, 13)]
        for turn in range(100):
            await swapped(swaps, f"v{3 - turn % 2}")
        done.set()
        return sum(await asyncio.gather(*clients))

    assert served(store, body) > 200


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"factor": 5, "golden": 6}, "golden case 0 of factor: 10 is not 12"),
        ({"factor": 5, "seconds": 0.1}, "A batch takes 10.* ms, and .* ms with the weights that serve"),
        ({"factor": 5, "raises": True}, "factor cannot run with these weights; the log says why"),
        ({}, "config.json names no factor"),
        ({"factor": None}, "factor cannot run with these weights"),
    ],
    ids=["wrong answers", "slow", "raises", "refused by read", "of another kind"],
)
def test_bad_weights_are_refused_and_the_old_serve_on(tmp_path: Path, fields: dict[str, object], reason: str) -> None:
    store = published(tmp_path, 2)
    digest = publish(store, "bad", **fields)
    refused = MODEL_RELOADS.labels(NAME, "refused")
    before = refused._value.get()

    async def body(swaps: Swaps) -> tuple[int, str]:
        with pytest.raises(RefusedWeights, match=reason) as raised:
            await swaps.prepare(NAME, "bad", by="ada")
        assert "nobody may see" not in str(raised.value)
        assert swaps.prepared is None
        assert swaps.refused[NAME] == {digest: str(raised.value)}
        return await asked(swaps)

    with capture_logs() as lines:
        assert served(store, body) == (2, "v2")
    assert [line["reason"] for line in lines if line["event"] == "weights_refused"]
    assert refused._value.get() == before + 1


def test_a_version_whose_bytes_were_changed_is_refused(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    (tmp_path / f"store/models/{NAME}/v3/config.json").write_text('{"factor": 9}')

    async def body(swaps: Swaps) -> tuple[int, str]:
        with pytest.raises(RefusedWeights, match="bytes"):
            await swaps.prepare(NAME, "v3", by="ada")
        return await asked(swaps)

    assert served(store, body) == (2, "v2")


@pytest.mark.parametrize(("version", "error"), [("v9", NotInStore), ("../v3", BadName), ("V3", BadName)])
def test_what_is_not_in_the_store_is_refused_by_its_name(tmp_path: Path, version: str, error: type[Exception]) -> None:
    async def body(swaps: Swaps) -> None:
        with pytest.raises(error):
            await swaps.prepare(NAME, version, by="ada")
        await swapped(swaps, "v3")

    served(published(tmp_path, 2, 3), body)


def test_one_change_at_a_time(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3, 5)
    publish(store, "long", factor=7, pieces=20)

    async def body(swaps: Swaps) -> None:
        preparing = asyncio.create_task(swaps.prepare(NAME, "long", by="ada"))
        await asyncio.sleep(0.05)
        with pytest.raises(Conflict, match="factor@long is being prepared here"):
            await swaps.prepare(NAME, "v3", by="bob")
        long = await preparing
        with pytest.raises(Conflict, match=r"factor@long is prepared here by ada.* or wait [0-9]+ s"):
            await swaps.prepare(NAME, "v3", by="bob")
        assert await swaps.prepare(NAME, "long", by="ada") is long, "asking for the same again is harmless"
        with pytest.raises(Conflict):
            swaps.abort(NAME, store.resolve(f"{NAME}@v3").digest, by="bob")
        swaps.abort(NAME, long.identity.digest, by="ada")
        await swapped(swaps, "v3")

    served(store, body)


def test_a_prepare_whose_caller_left_leaves_room_for_the_next(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    publish(store, "long", factor=7, pieces=50)

    async def body(swaps: Swaps) -> tuple[int, str]:
        preparing = asyncio.create_task(swaps.prepare(NAME, "long", by="ada"))
        await asyncio.sleep(0.05)
        preparing.cancel()
        await asyncio.gather(preparing, return_exceptions=True)
        await swapped(swaps, "v3")
        return await asked(swaps)

    assert served(store, body) == (3, "v3")


def test_what_nobody_commits_in_time_is_let_go(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3, 5)

    async def body(swaps: Swaps) -> None:
        weights = await swaps.prepare(NAME, "v3", by="ada")
        await asyncio.sleep(0.3)
        with pytest.raises(Conflict, match="not prepared"):
            swaps.commit(NAME, weights.identity.digest, by="ada")
        await swapped(swaps, "v5")

    with capture_logs() as lines:
        served(store, body, wait=0.2)
    assert [(line["weights"], line["by"]) for line in lines if line["event"] == "weights_expired"] == [("v3", "ada")]


def test_committing_or_going_back_to_what_serves_already_is_harmless(tmp_path: Path) -> None:
    store = published(tmp_path, 2)
    digest = store.resolve(NAME).digest

    async def body(swaps: Swaps) -> None:
        assert (await swaps.prepare(NAME, "v2", by="ada")).identity.digest == digest
        assert swaps.prepared is None
        swaps.commit(NAME, digest, by="ada")
        swaps.roll_back(NAME, digest, by="ada")
        with pytest.raises(Conflict, match="not warm"):
            swaps.roll_back(NAME, "sha256:" + "0" * 64, by="ada")

    served(store, body)


def test_a_version_that_the_settings_name_is_kept(tmp_path: Path) -> None:
    async def body(swaps: Swaps) -> None:
        with pytest.raises(Conflict, match=r"keep factor@v2.*OCELLI_MODELS") as raised:
            await swaps.prepare(NAME, "v3", by="ada")
        assert raised.value.code == "weights_pinned"

    served(published(tmp_path, 2, 3), body, reference=f"{NAME}@v2")


class Roomy(Factor):
    """A model where there is room for 25 bytes, 10 of which each set of weights takes that somebody still holds."""

    made: ClassVar[weakref.WeakSet[Factor]] = weakref.WeakSet()

    def __init__(self) -> None:
        super().__init__()
        self.made.add(self)

    def spare(self) -> int:
        return 25 - 10 * sum(bool(model.fields) for model in self.made)


def test_memory_is_asked_first_and_the_weights_before_make_room(tmp_path: Path) -> None:
    async def body(swaps: Swaps) -> None:
        await swapped(swaps, "v3")
        lane = swaps.engine.lane(NAME)
        assert lane.previous is not None
        weights = await swaps.prepare(NAME, "v5", by="ada")
        assert lane.previous is None
        swaps.commit(NAME, weights.identity.digest, by="ada")
        assert lane.previous is not None and lane.previous.identity.version == "v3"
        assert len(Roomy.made) == 2

    served(published(tmp_path, 2, 3, 5), body, model=Roomy)


def test_a_version_that_does_not_fit_beside_what_serves_is_refused_with_the_figures(tmp_path: Path) -> None:
    class Narrow(Factor):
        room = 9

    async def body(swaps: Swaps) -> tuple[int, str]:
        with pytest.raises(RefusedWeights, match=r"factor@v3 needs 0 MB beside what serves, and 0 MB are free"):
            await swaps.prepare(NAME, "v3", by="ada")
        return await asked(swaps)

    assert served(published(tmp_path, 2, 3), body, model=Narrow) == (2, "v2")


def test_users_are_served_between_the_pieces_of_a_long_rehearsal(tmp_path: Path) -> None:
    store = published(tmp_path, 2)
    publish(store, "long", factor=7, pieces=100)

    async def body(swaps: Swaps) -> tuple[float, int]:
        preparing = asyncio.create_task(swaps.prepare(NAME, "long", by="ada"))
        slowest, count = 0.0, 0
        while not preparing.done():
            began = time.monotonic()
            await asked(swaps)
            slowest, count = max(slowest, time.monotonic() - began), count + 1
        await preparing
        return slowest, count

    slowest, count = served(store, body)
    assert count > 50
    assert slowest < 0.2  # the golden case takes 0.5 s


def test_the_metrics_tell_of_the_weights_in_use_and_of_no_others(tmp_path: Path) -> None:
    def told() -> list[str]:
        (family,) = MODEL_INFO.collect()
        return [sample.labels["version"] for sample in family.samples if sample.labels["model"] == NAME]

    async def body(swaps: Swaps) -> None:
        await swapped(swaps, "v3")
        assert told() == ["v3"]
        swaps.roll_back(NAME, swaps.store.resolve(f"{NAME}@v2").digest, by="ada")
        assert told() == ["v2"]

    served(published(tmp_path, 2, 3), body)
