"""A model service: which models it serves, from which weights, through one engine."""

import asyncio
import contextlib
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from typing import Any

from shared import logs
from shared.errors import ModelNotFound, Unavailable
from shared.serving import metrics
from shared.serving.batch import Lane
from shared.serving.engine import Engine
from shared.serving.model import Identity, Model
from shared.serving.pool import Pool
from shared.serving.probes import Phase, Probes
from shared.serving.queue import BatchQueue
from shared.serving.stream import StreamLane, StreamModel
from shared.settings import ServiceSettings
from shared.weights.seed import open_store
from shared.weights.store import Store

log = logs.get(__name__)

AnyModel = Model[Any, Any, Any, Any]


class Service:
    """The models of one process and the engine that runs them; starts with the process and ends with it."""

    def __init__(self, settings: ServiceSettings, models: Callable[[], AnyModel]) -> None:
        """`models` makes one empty model; which weights it gets is told by `settings.models`."""
        self.settings = settings
        self._make = models
        self.references = {reference.split("@")[0]: reference for reference in settings.models}
        self.engine: Engine | None = None
        self.loaded: dict[str, float] = {}
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

    def model(self, name: str) -> Any:
        """The model that serves under `name`. Raises `ModelNotFound`, or `Unavailable` while it loads."""
        return self.running.lane(name).model

    async def start(self) -> None:
        """Load every model, in order, and prove each on its golden cases."""
        self.engine = Engine(
            self.settings.service,
            [self._lane(name) for name in self.references],
            pool=Pool(self.settings.decode_workers, limit=2 * self.settings.queue * len(self.references)),
            on_lost=self._lose,
        )
        self.engine.start()
        store = await asyncio.to_thread(open_store, self.settings.store, self.settings.state)
        for name, reference in self.references.items():
            await self._load(store, name, reference)
        metrics.describe_build(self.settings.service, torch_version())

    async def close(self) -> None:
        """End the engine after everything that was accepted."""
        if self.engine is not None:
            await self.engine.close()

    async def _load(self, store: Store, name: str, reference: str) -> None:
        began = time.monotonic()
        version = await asyncio.to_thread(store.fetch, reference, self.settings.state / "cache")
        identity = Identity(name, version.version, version.digest)
        await self.running.take_over(name, version.path, identity)
        seconds = time.monotonic() - began
        self.loaded[name] = time.time()
        described = self.describe(name)
        labels = (name, identity.version, identity.digest, str(described["dtype"]), str(described["device"]))
        metrics.MODEL_INFO.labels(*labels).set(1)
        self._watch_memory(name, str(described["device"]))
        metrics.MODEL_LOADED.labels(name).set(self.loaded[name])
        metrics.MODEL_LOAD_SECONDS.labels(name).observe(seconds)
        metrics.MODEL_RELOADS.labels(name, "ok").inc()
        log.info(
            "weights_taken", model=name, weights=identity.version, digest=identity.digest, seconds=round(seconds, 2)
        )

    def _watch_memory(self, name: str, device: str) -> None:
        model = self.model(name)
        if model.memory():
            metrics.GPU_ALLOCATED.labels(device).set_function(lambda: model.memory()["allocated"])
            metrics.GPU_RESERVED.labels(device).set_function(lambda: model.memory()["reserved"])

    def describe(self, name: str) -> Mapping[str, Any]:
        """What `/v1/models` tells about a model, the OpenAI fields first."""
        lane = self.running.lane(name)
        assert lane.identity is not None
        return {
            "id": name,
            "object": "model",
            "created": int(self.loaded.get(name, 0)),
            "owned_by": "ocelli",
            "service": self.settings.service,
            "version": lane.identity.version,
            "digest": lane.identity.digest,
            **lane.model.describe(),
        }

    def _lane(self, name: str) -> Lane:
        s, model = self.settings, self._make()
        queue = BatchQueue(limit=s.queue, max_items=s.max_batch, max_cost=s.max_batch_cost)
        return StreamLane(name, model, queue) if isinstance(model, StreamModel) else Lane(name, model, queue)

    def _check(self) -> Mapping[str, str]:
        return {"device": "starting" if self.engine is None else self.engine.health}

    def _lose(self) -> None:
        self.probes.reach(Phase.LOST)
        self.probes.over.set()


def torch_version() -> str:
    """The installed torch, without loading it; empty where there is none."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version("torch")
    return ""
