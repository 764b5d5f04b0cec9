"""Two embedding spaces side by side: what is kept serves beside what is pushed, until it is retired."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from shared.errors import Conflict
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.follow import Follower
from shared.serving.swap import Swaps
from shared.weights.store import Store
from tests.shared.serving.factors import NAME, Factor, pool, publish, published, queue, swaps_of


class Spaced(Factor):
    """A factor whose answers compare only with those of the same factor."""

    @property
    def space(self) -> str:
        return f"space:{self.fields['factor']}"


def served(store: Store, body: Callable[[Swaps, Follower], Awaitable[None]], *, model: type[Factor] = Spaced) -> None:
    """Run `body` where the champion of `store` serves; a test looks at the aliases itself."""

    async def main() -> None:
        engine = Engine("test", [Lane(NAME, model, queue())], pool=pool(), on_lost=lambda: None)
        engine.start()
        swaps = swaps_of(engine, store)
        await swaps.load(NAME)
        try:
            await asyncio.wait_for(body(swaps, Follower(swaps, every=60)), 30)
        finally:
            await engine.close()

    asyncio.run(main())


def spaces(swaps: Swaps) -> list[str]:
    """The versions that answer: the one that serves, and the one beside."""
    lane = swaps.engine.lane(NAME)
    return [weights.identity.version for weights in (lane.weights, lane.beside) if weights is not None]


async def pushed(swaps: Swaps, version: str, *, keep: str | None = None) -> None:
    weights = await swaps.prepare(NAME, version, by="ada")
    kept = None if keep is None else swaps.store.resolve(f"{NAME}@{keep}").digest
    swaps.commit(NAME, weights.identity.digest, by="ada", keep=kept)


def test_a_commit_keeps_what_served_and_further_ones_leave_it(tmp_path: Path) -> None:
    async def body(swaps: Swaps, _: Follower) -> None:
        first = swaps.engine.weights(NAME)
        await pushed(swaps, "v3", keep="v2")
        assert spaces(swaps) == ["v3", "v2"]
        await pushed(swaps, "v5")
        swaps.roll_back(NAME, swaps.store.resolve(f"{NAME}@v3").digest, by="ada")
        assert spaces(swaps) == ["v3", "v2"]
        assert swaps.engine.lane(NAME).kept is first, "nothing was read again"

    served(published(tmp_path, 2, 3, 5), body)


def test_going_back_to_what_is_kept_takes_no_reading_and_keeps_nothing(tmp_path: Path) -> None:
    async def body(swaps: Swaps, _: Follower) -> None:
        first = swaps.engine.weights(NAME)
        await pushed(swaps, "v3", keep="v2")
        await pushed(swaps, "v5")
        await pushed(swaps, "v2")
        assert swaps.engine.weights(NAME) is first
        assert spaces(swaps) == ["v2"]

    served(published(tmp_path, 2, 3, 5), body)


def test_the_alias_is_followed_to_a_space_and_to_its_end(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, follower: Follower) -> None:
        kept = store.move_alias(NAME, "kept", "v3", expected=None)
        await follower.look(NAME)
        assert spaces(swaps) == ["v2", "v3"]
        store.retire_alias(NAME, "kept", expected=kept)
        await follower.look(NAME)
        assert spaces(swaps) == ["v2"]

    served(store, body)


def test_who_missed_the_push_has_the_old_space_before_the_new_weights(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, follower: Follower) -> None:
        store.move_alias(NAME, "kept", "v2", expected=None)
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await follower.look(NAME)
        assert spaces(swaps) == ["v3", "v2"]

    served(store, body)


def test_what_is_kept_may_be_as_slow_as_it_is(tmp_path: Path) -> None:
    """A push may be twice as fast as what it takes the place of; a restart reads the two in the other order."""
    store = published(tmp_path, 2)
    publish(store, "slow", factor=5, seconds=0.05)

    async def body(swaps: Swaps, _: Follower) -> None:
        await swaps.keep(NAME, "slow", by="ada")
        assert spaces(swaps) == ["v2", "slow"]

    served(store, body)


def test_what_cannot_be_kept_is_told_once_and_stops_nobody(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)
    digest = publish(store, "bad", factor=5, golden=6)

    async def body(swaps: Swaps, follower: Follower) -> None:
        store.move_alias(NAME, "kept", "bad", expected=None)
        await follower.look_at_all()
        assert list(swaps.refused[NAME]) == [digest]
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await follower.look_at_all()
        assert spaces(swaps) == ["v3"]

    served(store, body)


def test_a_space_whose_version_is_gone_holds_up_no_push(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3, 5)

    async def body(swaps: Swaps, follower: Follower) -> None:
        store.move_alias(NAME, "kept", "v5", expected=None)
        shutil.rmtree(tmp_path / f"store/models/{NAME}/v5")
        store.move_alias(NAME, "champion", "v3", expected="v2")
        await follower.look_at_all()
        assert spaces(swaps) == ["v3"]

    served(store, body)


def test_only_what_is_kept_can_be_retired_and_twice_is_harmless(tmp_path: Path) -> None:
    async def body(swaps: Swaps, _: Follower) -> None:
        await pushed(swaps, "v3", keep="v2")
        digests = {version: swaps.store.resolve(f"{NAME}@{version}").digest for version in ("v2", "v3")}
        with pytest.raises(Conflict, match="factor@v2 is what is kept here"):
            swaps.retire(NAME, digests["v3"], by="ada")
        for _turn in range(2):
            swaps.retire(NAME, digests["v2"], by="ada")
        assert spaces(swaps) == ["v3"]

    served(published(tmp_path, 2, 3), body)


def test_a_model_without_a_space_keeps_nothing(tmp_path: Path) -> None:
    store = published(tmp_path, 2, 3)

    async def body(swaps: Swaps, follower: Follower) -> None:
        store.move_alias(NAME, "kept", "v3", expected=None)
        await follower.look(NAME)
        assert spaces(swaps) == ["v2"]

    served(store, body, model=Factor)
