"""The replicas of one service: which of them gets the next request, and what its outcome tells.

pick    ready, not ejected, least in flight, ties in turn -> none: 503 at once
record  failures of the replica's own making -> its breaker -> ejected, if at least half of the others stay
        not ready -> nothing more until a probe says otherwise; no answer in time -> only where none is ready
"""

import time
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum

from services.gateway.breaker import Breaker, RetryBudget
from services.gateway.replica import Replica
from shared.errors import Unavailable
from shared.serving.metrics import BREAKER_STATE, UPSTREAM_READY, UPSTREAM_REPLICAS, UPSTREAM_RETRIES, UPSTREAM_SECONDS


class Outcome(StrEnum):
    """How one try at a replica ended; the values are those of the metric's label."""

    OK = "ok"  # an answer, of whatever status the request deserved
    NOT_READY = "not_ready"  # 503: starting or draining
    OVERLOAD = "overload"  # 503: its queue is full
    ERROR = "error"  # a 5xx that is the replica's own fault
    UNREACHABLE = "unreachable"  # no connection, so nothing was sent
    BROKEN = "broken"  # the connection ended before the answer did
    TIMEOUT = "timeout"  # no answer within the gateway's own time
    CANCELLED = "cancelled"  # the caller left, or allowed less time than the gateway would have


FAILURES = frozenset({Outcome.ERROR, Outcome.UNREACHABLE, Outcome.BROKEN, Outcome.TIMEOUT})


class Upstream:
    """A service as the gateway sees it."""

    def __init__(
        self, name: str, *, deployed: bool, breaker: Callable[[], Breaker], budget: RetryBudget, retry_after: float
    ) -> None:
        """`breaker` makes one per replica; `retry_after` is the time until a replica may have come back, in seconds."""
        self.name = name
        self.deployed = deployed
        self.budget = budget
        self.replicas: Sequence[Replica] = ()
        self._breaker = breaker
        self._retry_after = retry_after
        self._turn = 0
        self._seconds = {outcome: UPSTREAM_SECONDS.labels(name, outcome.value) for outcome in Outcome}
        self.retries = UPSTREAM_RETRIES.labels(name)
        if deployed:  # what is not there must not look like what has failed
            UPSTREAM_REPLICAS.labels(name).set_function(lambda: len(self.replicas))
            UPSTREAM_READY.labels(name).set_function(lambda: sum(replica.ready for replica in self.replicas))
            BREAKER_STATE.labels(name).set_function(self._ejected)

    def set_addresses(self, addresses: Iterable[tuple[str, str]]) -> None:
        """Take (address, host) pairs as the replicas from now on; the state of those that stay is kept."""
        known = {replica.address: replica for replica in self.replicas}
        self.replicas = tuple(
            known.get(address) or Replica(address, host=host, breaker=self._breaker()) for address, host in addresses
        )

    def pick(self, *, other_than: Replica | None = None) -> Replica:
        """The replica for the next request; `other_than` only where it is the only one. Raises `Unavailable`."""
        now = time.monotonic()
        ready = self._usable()
        # Where all that are ready are ejected, an ejected one is better than none.
        usable = [replica for replica in ready if replica.breaker.admits(now)] or ready
        others = [replica for replica in usable if replica is not other_than] or usable
        if not others:
            raise self.unavailable()
        self._turn += 1
        turn = self._turn % len(others)
        return min(others[turn:] + others[:turn], key=_load)

    def unavailable(self) -> Unavailable:
        """What a caller is told while no replica can be used."""
        if not self.deployed:
            sentence = f"The {self.name} service is not deployed here. Its routes cannot be used."
        else:
            sentence = f"No replica of the {self.name} service is ready. Retry after the time in Retry-After."
        return Unavailable(sentence, code="upstream_unavailable", retry_after=self._retry_after)

    def record(self, replica: Replica, outcome: Outcome, seconds: float) -> None:
        """Learn from a try that ended after `seconds`."""
        self._seconds[outcome].observe(seconds)
        if outcome in FAILURES:
            may_open = (self._ejected() + 1) * 2 <= len(self.replicas)
            replica.breaker.fail(time.monotonic(), may_open=may_open)
        elif outcome is Outcome.OK:
            replica.breaker.succeed()
        else:
            replica.breaker.abandon()
        if outcome is Outcome.NOT_READY:
            replica.tell(ready=False)
        elif outcome is Outcome.UNREACHABLE:
            replica.doubt()  # refused, or not in time: the next probe tells

    @property
    def state(self) -> str:
        """For the probes: whether the service can be used now."""
        if not self.deployed:
            return "not deployed"
        return "ok" if self._usable() else "unavailable"

    def _usable(self) -> list[Replica]:
        """The replicas that are ready; where there is none, those in doubt, since one of them may answer yet."""
        ready = [replica for replica in self.replicas if replica.ready]
        return ready or [replica for replica in self.replicas if replica.in_doubt]

    def _ejected(self) -> int:
        return sum(not replica.breaker.closed for replica in self.replicas)


def _load(replica: Replica) -> int:
    return replica.in_flight
