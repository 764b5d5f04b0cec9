"""One replica of a service: its address, its load, and what is known of its health."""

from services.gateway.breaker import Breaker


class Replica:
    """A process that answers for a service."""

    __slots__ = ("address", "breaker", "host", "in_flight", "ready")

    def __init__(self, address: str, *, host: str, breaker: Breaker) -> None:
        """`address` is what is connected to, `http://ip:port`; `host` is what the Host header says."""
        self.address = address
        self.host = host
        self.breaker = breaker
        self.in_flight = 0
        self.ready = True  # until a probe, or an answer, says otherwise: the gateway waits for nobody when it starts

    def __repr__(self) -> str:
        return f"<Replica {self.address} ready={self.ready} in_flight={self.in_flight}>"
