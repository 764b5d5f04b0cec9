"""All services as the gateway sees them, made from its settings, and the one client session to them."""

import asyncio

from services.gateway.breaker import Breaker, RetryBudget
from services.gateway.health import Health
from services.gateway.proxy import Proxy, open_session
from services.gateway.settings import GatewaySettings
from services.gateway.upstreams import Upstream
from shared.errors import Unavailable


class Fleet:
    """The upstreams by name, and what goes on around them while the process lives."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.upstreams = {name: self._upstream(name, bool(found)) for name, found in settings.upstreams.items()}
        self._health = [
            Health(self.upstreams[name], found, probe_s=settings.probe_s, resolve_s=settings.resolve_s)
            for name, found in settings.upstreams.items()
            if found
        ]
        self._proxy: Proxy | None = None

    async def start(self) -> None:
        """Open the session and begin to look after the replicas, without waiting for any of them."""
        session = open_session(self.settings)
        self._proxy = Proxy(session, hold_bytes=self.settings.buffer_bytes)
        for health in self._health:
            health.start(session)

    async def close(self) -> None:
        """End the background work, then the connections."""
        await asyncio.gather(*(health.close() for health in self._health))
        if self._proxy is not None:
            await self._proxy.session.close()

    @property
    def proxy(self) -> Proxy:
        """The way to the services. Raises `Unavailable` in the moment before `start`."""
        if self._proxy is None:
            raise Unavailable("The gateway is still starting. Retry the request.", code="not_ready")
        return self._proxy

    def states(self) -> dict[str, str]:
        """For the probes: the state of each service."""
        return {name: upstream.state for name, upstream in self.upstreams.items()}

    def _upstream(self, name: str, deployed: bool) -> Upstream:
        s = self.settings

        def breaker() -> Breaker:
            return Breaker(failures=s.eject_failures, window_s=s.eject_window_s, open_s=s.eject_s)

        budget = RetryBudget(share=s.retry_share, floor=s.retry_floor)
        return Upstream(name, deployed=deployed, breaker=breaker, budget=budget, retry_after=s.probe_s)
