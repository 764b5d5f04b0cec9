"""One replica of a service: its address, its load, and what is known of its health.

ready      a probe said so, or none has asked yet
in doubt   a probe or a connection ran out of time: it may be busy, or this machine may be; used where none is ready
away       it said that it takes nothing, or refused the connection, or has been in doubt for long
"""

import time

from services.gateway.breaker import Breaker

DOUBT_S = 10  # of silence, after which a replica hangs and is not merely busy


class Replica:
    """A process that answers for a service."""

    __slots__ = ("_silent_since", "address", "breaker", "host", "in_flight", "ready")

    def __init__(self, address: str, *, host: str, breaker: Breaker) -> None:
        """`address` is what is connected to, `http://ip:port`; `host` is what the Host header says."""
        self.address = address
        self.host = host
        self.breaker = breaker
        self.in_flight = 0
        self.ready = True  # until a probe, or an answer, says otherwise: the gateway waits for nobody when it starts
        self._silent_since: float | None = None

    @property
    def in_doubt(self) -> bool:
        """Whether it is not known to be away, and not known to be ready."""
        return self._silent_since is not None and time.monotonic() - self._silent_since < DOUBT_S

    def tell(self, *, ready: bool) -> None:
        """It said itself whether it takes requests."""
        self.ready, self._silent_since = ready, None

    def doubt(self) -> None:
        """It did not answer in time."""
        self.ready = False
        self._silent_since = self._silent_since or time.monotonic()

    def __repr__(self) -> str:
        return f"<Replica {self.address} ready={self.ready} in_flight={self.in_flight}>"
