"""A version whose embeddings are not comparable with those of before is pushed only by who says so."""

import asyncio
from pathlib import Path

import pytest

from shared.rollout.errors import Refused, SpaceMoved
from shared.rollout.fleet import Fleet
from shared.rollout.push import MOST_SHIFT, SPACE_SHIFT, push
from shared.weights.manifest import Card, Made
from shared.weights.store import Store


def published(folder: Path, shift: float) -> Store:
    store, source = Store(str(folder / "store")), folder / "files"
    source.mkdir()
    (source / "config.json").write_text("{}")
    store.publish(source, Card(model="clip", version="v2", metrics={SPACE_SHIFT: shift}, made=Made(by="ada")))
    return store


def pushed(store: Store, *, new_space: bool = False) -> None:
    async def act() -> None:
        async with Fleet([], key="secret", by="ada") as nobody:
            await push(store, "clip", "v2", fleet=nobody, new_space=new_space)

    asyncio.run(act())


def test_a_space_that_moved_stops_the_push_with_how_far_and_what_to_do(tmp_path: Path) -> None:
    store = published(tmp_path, 0.086)
    with pytest.raises(SpaceMoved, match=r"0\.0860 in the mean, at most 0\.02.*--replay.*--new-space"):
        pushed(store)
    assert store.pointer("clip", "champion") is None


def test_who_means_it_gets_to_the_replicas(tmp_path: Path) -> None:
    store = published(tmp_path, 0.086)
    with pytest.raises(Refused, match="no replica was found"):
        pushed(store, new_space=True)


def test_a_space_that_stayed_is_no_reason(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no replica was found"):
        pushed(published(tmp_path, MOST_SHIFT))
