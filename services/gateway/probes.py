"""The gateway's probes: ready as soon as it listens and its keys are read, whatever the services do.

One service that is down must not take the routes of all others out of use. The verbose answers tell of each.
"""

from collections.abc import Callable, Mapping

import orjson

from shared.serving.probes import Probes

ALWAYS_VERBOSE = frozenset({"/healthz", "/health"})


class GatewayProbes(Probes):
    """Probes that tell the state of every service and depend on none."""

    def __init__(self, *, services: Callable[[], Mapping[str, str]]) -> None:
        super().__init__("gateway")
        self.services = services

    def answer(self, path: str, *, verbose: bool = False) -> tuple[int, bytes]:
        """Status and JSON body for a probe's path."""
        status, body = super().answer(path, verbose=verbose)
        if verbose or path in ALWAYS_VERBOSE:
            body = orjson.dumps(orjson.loads(body) | {"services": dict(self.services())})
        return status, body
