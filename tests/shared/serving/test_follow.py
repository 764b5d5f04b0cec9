"""The alias is the truth: what champion points at comes to serve, by itself, and what is refused is told once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.follow import Follower
from shared.serving.metrics import WEIGHTS_SKEW
from shared.serving.swap import Swaps
from shared.weights.aliases import Pointer
from shared.weights.store import Store
from tests.shared.serving.factors import NAME, Factor, pool, publish, published, queue, swaps_of

EVERY = 0.05


def followed(store: Store, body: Callable[[Swaps, Follower], Awaitable[None]], *, reference: str = NAME) -> None:
    """Run `body` where the champion of `store` serves and is followed."""

    async def main() -> None:
        engine = Engine("test", [Lane(NAME, Factor, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        swaps = swaps_of(engine, store, reference=reference)
        await swaps.load(NAME)
        follower = Follower(swaps, every=EVERY)
        task = asyncio.create_task(follower.run())
        try:
            await asyncio.wait_for(body(swaps, follower), 30)
        finally:
            task.cancel()
            await engine.close()

    asyncio.run(main())


def serving(swaps: Swaps) -> str:
    return swaps.engine.weights(NAME).identity.version


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


@contextmanager
def events(name: str) -> Iterator[list[dict[str, object]]]:
    """The lines of one event that are logged inside."""
    found: list[dict[str, object]] = []
    with capture_logs() as lines:
        yield found
    found += [dict(line) for line in lines if line["event"] == name]


def test_a_service_comes_to_serve_what_champion_points_at(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, _: Follower) -> None:
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await until(lambda: serving(swaps) == "v3")
        store.move_alias(NAME, "champion", "v2", expected="v3")
        await until(lambda: serving(swaps) == "v2")
        await until(lambda: WEIGHTS_SKEW.labels(NAME)._value.get() == 0)

    followed(store, body)


def test_what_is_prepared_is_committed_when_the_alias_says_so_and_not_before(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, _: Follower) -> None:
        weights = await swaps.prepare(NAME, "v3", by="ada")
        await asyncio.sleep(5 * EVERY)
        assert serving(swaps) == "v2"
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await until(lambda: swaps.engine.weights(NAME) is weights)

    followed(store, body)


def test_what_was_committed_against_the_alias_goes_back(tmp_path: Path) -> None:
    async def body(swaps: Swaps, _: Follower) -> None:
        weights = await swaps.prepare(NAME, "v3", by="ada")
        swaps.commit(NAME, weights.identity.digest, by="ada")
        await until(lambda: serving(swaps) == "v2")

    followed(published(tmp_path, 2, 3), body)


def test_a_refused_champion_is_told_once_and_shows_as_skew(tmp_path: Path) -> None:
    store = published(tmp_path, 2)
    publish(store, "bad", factor=5, golden=6)

    async def body(swaps: Swaps, _: Follower) -> None:
        store.move_alias(NAME, "champion", "bad", expected="v2")
        await until(lambda: bool(swaps.refused[NAME]))
        await asyncio.sleep(6 * EVERY)
        assert serving(swaps) == "v2"
        assert WEIGHTS_SKEW.labels(NAME)._value.get() == 1

    with events("weights_refused") as refusals:
        followed(store, body)
    assert len(refusals) == 1


def test_what_was_refused_before_and_is_prepared_now_is_committed(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, _: Follower) -> None:
        swaps.refused[NAME][store.resolve(f"{NAME}@v3").digest] = "There was no memory for it."
        await swaps.prepare(NAME, "v3", by="ada")
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await until(lambda: serving(swaps) == "v3")

    followed(store, body)


def test_a_store_that_cannot_be_read_is_told_once_and_tried_again(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    aliases, away = tmp_path / "store/aliases", tmp_path / "away"

    async def body(swaps: Swaps, _: Follower) -> None:
        store.move_alias(NAME, "champion", "v3", expected="v2")
        pointer = aliases / NAME / "champion/000002.json"
        sound = pointer.read_bytes()
        pointer.write_text("{")
        await asyncio.sleep(6 * EVERY)
        assert serving(swaps) == "v2"
        pointer.write_bytes(sound)
        await until(lambda: serving(swaps) == "v3")

    with events("cannot_follow") as troubles:
        followed(store, body)
    assert 1 <= len(troubles) <= 2, "once, or twice if the look falls between"
    assert not away.exists()


@pytest.mark.parametrize("selector", ["v2", "previous"])
def test_a_version_that_the_settings_name_is_not_left(tmp_path: Path, selector: str) -> None:
    store = published(tmp_path, 2, 3)
    store.move_alias(NAME, "champion", "v3", expected="v2")

    async def body(swaps: Swaps, _: Follower) -> None:
        await asyncio.sleep(4 * EVERY)
        assert serving(swaps) == "v2"

    followed(store, body, reference=f"{NAME}@{selector}")


def test_a_look_that_is_older_than_a_commit_takes_nothing_back(tmp_path: Path) -> None:
    """The pointer is read, then a push moves it and commits, then the look goes on with what it read."""

    class Slow(Store):
        def pointer(self, model: str, alias: str) -> Pointer | None:
            read = super().pointer(model, alias)
            asyncio.run_coroutine_threadsafe(push(), self.loop).result()
            return read

        loop: asyncio.AbstractEventLoop
        swaps: Swaps

    store = Slow(published(tmp_path, 2, 3).url)

    async def push() -> None:
        if serving(store.swaps) == "v2":
            weights = await store.swaps.prepare(NAME, "v3", by="ada")
            store.move_alias(NAME, "champion", "v3", expected="v2")
            store.swaps.commit(NAME, weights.identity.digest, by="ada")

    async def main() -> None:
        engine = Engine("test", [Lane(NAME, Factor, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        store.loop, store.swaps = asyncio.get_running_loop(), swaps_of(engine, store)
        await store.swaps.load(NAME)
        await Follower(store.swaps, every=60).look(NAME)
        assert serving(store.swaps) == "v3"
        assert store.swaps.prepared is None
        await engine.close()

    asyncio.run(main())
