"""Two real replicas of CLIP through a push into a new embedding space: both spaces answer, until one is retired."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shared.admin_key import read
from shared.rollout.errors import NotKept, SpaceKept, SpaceMoved
from shared.rollout.fleet import Fleet
from shared.rollout.kept import Retired, retire
from shared.rollout.push import SPACE_SHIFT, Outcome, push, roll_back
from shared.rollout.replicas import Replica
from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.processes import Running, running
from tests.services.clip.clip_versions import random_clip, write_version


class House:
    """A store of random CLIPs, each of a space of its own, and replicas that serve from it."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.store = Store(f"file://{folder}/store")
        for number, shift in enumerate((0.0, 0.5, 0.01, 0.5), start=1):
            self.publish(number, shift)
        self.store.move_alias("clip", "champion", "v1", expected=None)
        self.replicas = [self.start() for _ in range(2)]

    def publish(self, number: int, shift: float) -> None:
        source = write_version(self.folder / f"v{number}", random_clip(number))
        (source / "manifest.json").unlink()
        made = Made(by="a test")
        self.store.publish(source, Card(model="clip", version=f"v{number}", metrics={SPACE_SHIFT: shift}, made=made))

    def start(self) -> Running:
        service = running("services.clip", store=self.store.url, state=self.folder / "state", follow_s=0.3)
        return self._stack.enter_context(service)

    def push(self, version: str, *, new_space: bool = False) -> Outcome:
        return asyncio.run(self._push(version, new_space))

    async def _push(self, version: str, new_space: bool) -> Outcome:
        async with self.fleet() as fleet:
            return await push(self.store, "clip", version, fleet=fleet, new_space=new_space)

    def roll_back(self) -> Outcome:
        async def act() -> Outcome:
            async with self.fleet() as fleet:
                return await roll_back(self.store, "clip", fleet=fleet)

        return asyncio.run(act())

    def retire(self, **what: str) -> Retired:
        async def act() -> Retired:
            async with self.fleet() as fleet:
                return await retire(self.store, "clip", fleet=fleet, **what)

        return asyncio.run(act())

    def fleet(self) -> Fleet:
        key = read(self.folder / "state/admin.key")
        assert key is not None
        return Fleet([Replica("127.0.0.1", one.management_port) for one in self.replicas], key=key, by="ada")

    def embed(self, space: str | None = None) -> list[httpx.Response]:
        """The answer of each replica."""
        headers = {} if space is None else {"if-embedding-space": space}
        body = {"input": ["red", "blue"]}
        return [httpx.post(f"{one.url}/v1/embeddings", json=body, headers=headers) for one in self.replicas]

    def versions(self, space: str | None = None) -> set[str]:
        answers = self.embed(space)
        assert space is None or {answer.headers["x-embedding-space"] for answer in answers} == {space}
        return {answer.raise_for_status().headers["x-model-version"] for answer in answers}

    @property
    def spaces(self) -> dict[str, str]:
        """The space of each version that the replicas tell of; they must agree."""
        first, second = (httpx.get(f"{one.url}/v1/models/clip").json() for one in self.replicas)
        assert first == second | {"created": first["created"]}
        return {one["version"]: one["embedding_space"] for one in (first, first.get("kept")) if one}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with contextlib.ExitStack() as stack:
        yield House(tmp_path_factory.mktemp("house"), stack)


def vectors(answer: httpx.Response) -> Any:
    return np.array([one["embedding"] for one in answer.json()["data"]])


def test_both_spaces_answer_by_their_id_from_a_push_to_a_retirement(house: House) -> None:
    (old,) = house.spaces.values()
    before = house.embed()[0]

    with pytest.raises(SpaceMoved, match="--new-space"):
        house.push("v2")
    assert house.push("v2", new_space=True).kept == "v1"
    assert (house.versions(), house.versions(old)) == ({"v2"}, {"v1"})
    assert np.allclose(vectors(house.embed(old)[0]), vectors(before), atol=1e-6)
    assert list(house.spaces) == ["v2", "v1"]

    assert house.push("v3").kept is None, "a push inside the new space"
    assert (house.versions(), house.versions(old)) == ({"v3"}, {"v1"})
    house.roll_back()
    assert (house.versions(), house.versions(old)) == ({"v2"}, {"v1"})

    with pytest.raises(SpaceKept, match="ocelli models retire clip@v1"):
        house.push("v4", new_space=True)

    gone = house.replicas.pop()
    gone.terminate()
    assert gone.wait() == 0
    house.replicas.append(house.start())
    assert (house.versions(), house.versions(old)) == ({"v2"}, {"v1"}), "who starts later serves both"

    new = house.spaces["v2"]
    with pytest.raises(NotKept, match=f"clip@v1, {old}"):
        house.retire(space=new)
    assert house.retire(space=old).late == []
    assert house.versions(new) == {"v2"}
    for refused in house.embed(old):
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "embedding_space_mismatch")
        assert f"answers in {new}." in refused.json()["detail"]
    assert list(house.spaces) == ["v2"]
    with pytest.raises(NotKept, match="there is none to retire"):
        house.retire(version="v1")
    told = [(move.version, move.by, move.retired) for move in house.store.history("clip", "kept")]
    assert told == [("v1", "ada", False), ("v1", "ada", True)]


def test_going_back_to_the_space_of_before_ends_the_other(house: House) -> None:
    house.push("v4", new_space=True)
    kept = house.store.pointer("clip", "kept")
    assert kept is not None and kept.version == "v2"
    house.roll_back()
    assert (list(house.spaces), house.store.pointer("clip", "kept")) == (["v2"], None)
