"""Several real replicas that serve from one store, and pushes into them."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from shared.admin_key import read
from shared.rollout.fleet import Fleet
from shared.rollout.push import Outcome, push, roll_back
from shared.rollout.replicas import Replica
from tests.processes import Running, running
from tests.shared.serving.factors import NAME, published

SERVICE = "tests.shared.rollout.factor_service"
CONVERGE_S = 5.0


class House:
    """A store, and processes that serve from it."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.store = published(folder, 2, 3, 5)
        self.processes: list[Running] = []

    def start(self, **settings: object) -> Running:
        wanted: dict[str, Any] = {"follow_s": 0.5, "prepared_s": 2, **settings}
        process = self._stack.enter_context(
            running(SERVICE, store=self.store.url, state=self.folder / "state", **wanted)
        )
        self.processes.append(process)
        return process

    @property
    def replicas(self) -> list[Replica]:
        return [Replica("127.0.0.1", process.management_port) for process in self.processes]

    @property
    def key(self) -> str:
        key = read(self.folder / "state/admin.key")
        assert key is not None
        return key

    def push(self, version: str, *replicas: Replica, allow_missing: bool = False) -> Outcome:
        async def act() -> Outcome:
            async with Fleet(replicas or self.replicas, key=self.key, by="ada", say=print) as fleet:
                return await push(self.store, NAME, version, fleet=fleet, allow_missing=allow_missing)

        return asyncio.run(act())

    def roll_back(self) -> Outcome:
        async def act() -> Outcome:
            async with Fleet(self.replicas, key=self.key, by="ada") as fleet:
                return await roll_back(self.store, NAME, fleet=fleet)

        return asyncio.run(act())

    def answers(self) -> set[str]:
        """The versions that serve; each answer is what its version makes of 7."""
        found = set()
        for process in self.processes:
            answer = httpx.get(f"{process.url}/multiply/7").raise_for_status()
            version = answer.headers["x-model-version"]
            assert int(answer.text) == 7 * int(version[1:])
            found.add(version)
        return found

    @property
    def champion(self) -> str:
        pointer = self.store.pointer(NAME, "champion")
        assert pointer is not None
        return pointer.version


def until(condition: Callable[[], bool], seconds: float = CONVERGE_S) -> float:
    """Wait for `condition`; the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)
    return time.monotonic() - began


def states(house: House) -> list[dict[str, object]]:
    headers = {"authorization": f"Bearer {house.key}"}
    overviews = [httpx.get(f"{p.management}/admin/weights", headers=headers).json() for p in house.processes]
    return [overview["models"][0] for overview in overviews]
