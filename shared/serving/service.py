"""A model service: which models it serves, from which weights, through one engine."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from shared.admin_key import admin_key
from shared.errors import ModelNotFound, Unavailable
from shared.serving.admin import admin
from shared.serving.batch import AnyModel, Lane
from shared.serving.engine import Engine
from shared.serving.follow import Follower
from shared.serving.metrics import describe_build
from shared.serving.model import Weights
from shared.serving.pool import Pool
from shared.serving.probes import Phase, Probes
from shared.serving.queue import BatchQueue
from shared.serving.stream import StreamLane, StreamModel
from shared.serving.swap import Swaps
from shared.settings import ServiceSettings
from shared.weights.seed import open_store


class Service:
    """The models of one process and the engine that runs them; starts with the process and ends with it."""

    def __init__(self, settings: ServiceSettings, models: Callable[[], AnyModel]) -> None:
        """`models` makes one empty model; which weights it gets is told by `settings.models`."""
        self.settings = settings
        self._make, self._streams = models, isinstance(models(), StreamModel)
        self.references = {reference.split("@")[0]: reference for reference in settings.models}
        self.engine: Engine | None = None
        self._following: asyncio.Task[None] | None = None
        self.probes = Probes(settings.service, check=self._check)

    @property
    def running(self) -> Engine:
        """The engine. Raises `Unavailable` while the process starts."""
        if self.engine is None:
            raise Unavailable("The service is still starting. Retry later.", code="not_ready", retry_after=5)
        return self.engine

    def pick(self, name: str | None) -> str:
        """The model that a request means: the one it names, or the first. Raises `ModelNotFound`."""
        if name is None or name == self.settings.service:
            return next(iter(self.references))
        if name not in self.references:
            raise ModelNotFound(f"No such model here. Served are: {', '.join(self.references)}.", param="model")
        return name

    def weights(self, name: str) -> Weights:
        """The weights that serve under `name` now. A request asks once and keeps them, whatever comes meanwhile.

        Raises `ModelNotFound`, or `Unavailable` while they load.
        """
        return self.running.weights(name)

    async def start(self) -> None:
        """Load every model, in order, and prove each on its golden cases; from then on follow the aliases."""
        self.engine = Engine(
            self.settings.service,
            [self._lane(name) for name in self.references],
            pool=Pool(self.settings.decode_workers, limit=2 * self.settings.queue * len(self.references)),
            on_lost=self._lose,
        )
        self.engine.start()
        store = await asyncio.to_thread(open_store, self.settings.store, self.settings.state)
        s, cache = self.settings, self.settings.state / "cache"
        swaps = Swaps(self.engine, store, cache=cache, references=self.references, wait=s.prepared_s)
        key = partial(admin_key, s.state, s.admin_key_file)
        await asyncio.to_thread(key)  # so that it is there before anybody wants it
        self.probes.admin = admin(swaps, s, key)
        for name in self.references:
            await self._load(swaps, name)
        describe_build(s.service, s.revision, torch_version())
        follower = Follower(swaps, every=s.follow_s)
        await follower.look_at_all()  # what is kept beside serves from the beginning
        if s.follow_s:
            self._following = asyncio.create_task(follower.run())

    async def close(self) -> None:
        """End the engine after everything that was accepted."""
        if self._following is not None:
            self._following.cancel()
        if self.engine is not None:
            await self.engine.close()

    async def _load(self, swaps: Swaps, name: str) -> None:
        await swaps.load(name)

    def describe(self, name: str) -> Mapping[str, Any]:
        """What `/v1/models` tells about a model, the OpenAI fields first; `kept` serves beside, by its space."""
        lane, weights = self.running.lane(name), self.weights(name)
        return {
            "id": name,
            "object": "model",
            "created": int(lane.since),
            "owned_by": "ocelli",
            "service": self.settings.service,
            "version": weights.identity.version,
            "digest": weights.identity.digest,
            **weights.model.describe(),
            **_kept(lane),
        }

    def _lane(self, name: str) -> Lane:
        s = self.settings
        queue = BatchQueue(limit=s.queue, max_items=s.max_batch, max_cost=s.max_batch_cost)
        return StreamLane(name, self._make, queue) if self._streams else Lane(name, self._make, queue)

    def _check(self) -> Mapping[str, str]:
        return {"device": "starting" if self.engine is None else self.engine.health}

    def _lose(self) -> None:
        self.probes.reach(Phase.LOST)
        self.probes.over.set()


def _kept(lane: Lane) -> Mapping[str, Any]:
    if lane.beside is None:
        return {}
    identity, space = lane.beside.identity, lane.beside.model.space
    return {"kept": {"version": identity.version, "digest": identity.digest, "embedding_space": space}}


def torch_version() -> str:
    """The installed torch, without loading it; empty where there is none."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("torch")
    return ""
