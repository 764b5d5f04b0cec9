"""One document of every deployed service, asked for at the same time and kept for a short while.

Who does not answer within a bounded time is left out, and hides nobody else.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson

from services.gateway.fleet import Fleet
from services.gateway.upstreams import Upstream
from shared.errors import OcelliError

FETCH_S = 2.0


class Joined:
    """The JSON documents at one path of all services."""

    def __init__(self, fleet: Fleet, path: str, *, seconds: float) -> None:
        """`seconds` is how long what was read is kept."""
        self.fleet = fleet
        self.path = path
        self.seconds = seconds
        self._documents: Mapping[str, Any] = {}
        self._until = 0.0
        self._lock = asyncio.Lock()

    async def documents(self) -> Mapping[str, Any]:
        """The documents by service, without those of services that do not answer."""
        async with self._lock:  # who comes while they are being read waits for the same ones
            if time.monotonic() >= self._until:
                found = await asyncio.gather(*(self._read(upstream) for upstream in self.deployed))
                self._documents = {name: document for name, document in found if document is not None}
                self._until = time.monotonic() + self.seconds
        return self._documents

    @property
    def deployed(self) -> list[Upstream]:
        """The services that there are."""
        return [upstream for upstream in self.fleet.upstreams.values() if upstream.deployed]

    async def _read(self, upstream: Upstream) -> tuple[str, Any]:
        try:
            document = orjson.loads(await self.fleet.proxy.fetch(upstream, self.path, seconds=FETCH_S))
        except (OcelliError, orjson.JSONDecodeError):
            document = None
        return upstream.name, document if isinstance(document, dict) else None
