"""A gateway for tests: the application behind the edge of every process, under uvicorn on a real port, in a thread."""

import asyncio
import functools
import socket
import threading
import time
from pathlib import Path
from typing import Any, Self

import httpx
import uvicorn

from services.gateway.app import Gateway
from services.gateway.keyring import open_keyring
from services.gateway.routes import route_of
from services.gateway.settings import GatewaySettings
from shared.serving.middleware import Edge
from shared.serving.probes import Phase
from shared.serving.protocol import GuardedProtocol
from shared.spans import Tracer
from tests.services.gateway.upstream import Upstream


class Stand:
    """A running gateway; `detection` and the other services are replicas or addresses."""

    def __init__(self, state: Path, *detection: Upstream | str, tracer: Tracer | None = None, **settings: Any) -> None:
        self.tracer = tracer
        addresses = ",".join(one if isinstance(one, str) else one.url for one in detection)
        # Detection is all that is deployed, unless a test says otherwise.
        alone = {"clip": "", "owlvit": "", "llava": ""}
        self.settings = GatewaySettings(**{"detection": addresses, "state": state, **alone, **settings})

    def __enter__(self) -> Self:
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)
        self.client = httpx.Client(verify=False, trust_env=False)  # one for all: making one takes longer than a request
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _run(self, started: threading.Event) -> None:
        s = self.settings
        self.gateway = Gateway(s, open_keyring(s.keys_file, host=s.host, public=s.public))
        edge = Edge(self.gateway.probes.before(self.gateway), limits=s.limits, route_of=route_of, tracer=self.tracer)
        protocol: Any = functools.partial(GuardedProtocol, limits=s.limits)
        config = uvicorn.Config(
            edge, http=protocol, port=0, ws="none", lifespan="off", log_config=None, server_header=False,
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        serving = asyncio.create_task(self._server.serve())
        while not self._server.started:
            await asyncio.sleep(0.005)
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        await self.gateway.start()
        self.gateway.probes.reach(Phase.SERVING)
        started.set()
        await serving
        await self.gateway.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def states(self) -> list[bool]:
        """Which replicas of detection are thought to be ready, in their order."""
        return [replica.ready for replica in self.gateway.fleet.upstreams["detection"].replicas]


def until(condition: Any, seconds: float = 5) -> bool:
    """Whether `condition` came true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return False


def refused() -> str:
    """An address where nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"
