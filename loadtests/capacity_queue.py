"""Our own queueing, simulated event by event: replicas behind the gateway, at an arrival rate.

arrival -> replica with the least in flight, ties in turn -> full, or too late by the batch times: refused
        -> preprocess -> waits -> device frees: as many as wait, up to a batch -> the batch's seconds -> answered

What it leaves out: second tries, pushes, pictures of unequal cost, and that replicas on one machine share its cores.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from random import Random

from loadtests.locust.verdicts import quantile
from loadtests.slo import Promise

MARGIN = 1.2  # of the services: batch times are means, and what is accepted should be answered
FEWEST, PER_REPLICA = 20_000, 300  # arrivals, so that the slowest in a hundred are some two hundred
WARM_UP = 0.1  # share of the arrivals that only fill the queues


@dataclass(frozen=True, slots=True)
class Service:
    """A replica as it was measured: `seconds[n - 1]` of device for a batch of n, `delay` of all else, per request."""

    seconds: Sequence[float]
    delay: float = 0.0
    places: int = 64
    deadline: float = 30.0

    @property
    def most(self) -> float:
        """Requests per second of a device that never waits."""
        return max(size / seconds for size, seconds in enumerate(self.seconds, 1))

    def ahead(self, taken: int) -> float:
        """Seconds of device that `taken` requests will need."""
        full, rest = divmod(taken, len(self.seconds))
        return full * self.seconds[-1] + (self.seconds[rest - 1] if rest else 0.0)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of the arrivals after warm-up: `waits` of those who were answered, ordered, in seconds."""

    waits: Sequence[float]
    refused: int
    utilisation: float

    @property
    def asked(self) -> int:
        """Arrivals that count."""
        return len(self.waits) + self.refused

    def keeps(self, promise: Promise) -> bool:
        """Whether enough were answered, and those fast enough."""
        fast = sum(wait <= promise.seconds for wait in self.waits)
        answered = len(self.waits)
        return promise.keeps(answered, self.asked, promise.answered) and promise.keeps(fast, answered, promise.fast)

    def quantile(self, share: float) -> float:
        """Seconds that `share` of the answered waited at most."""
        return quantile(self.waits, share)


@dataclass(slots=True)
class Replica:
    """One device and its queue."""

    index: int
    waiting: deque[float] = field(default_factory=deque)  # when each of them arrived
    taken: int = 0  # places of the queue: those who wait, and those who are being preprocessed
    in_flight: int = 0
    free_at: float = 0.0
    busy: float = 0.0
    turn: int = 0  # when it was picked last


class Simulation:
    """`replicas` of a service, and the events to come."""

    def __init__(self, service: Service, replicas: int) -> None:
        self._service = service
        self._replicas = [Replica(index) for index in range(replicas)]
        self._order = [(0, 0, index) for index in range(replicas)]  # a heap: in flight, turn, which; some are outdated
        self._events: list[tuple[float, int, Replica, list[float] | None]] = []  # a batch's end; None: one joins
        self._numbers = count(1)
        self._joining: dict[int, float] = {}
        self.waits: list[tuple[float, float]] = []  # arrival, seconds until its answer
        self.refused: list[float] = []  # arrivals
        self.ended = 0.0

    def run(self, arrivals: Iterator[float]) -> None:
        """Let all of them arrive, and be answered or refused."""
        for now in arrivals:
            self._until(now)
            self._arrive(now)
        self._until(float("inf"))

    @property
    def busy(self) -> float:
        """Seconds of device, of all replicas."""
        return sum(replica.busy for replica in self._replicas)

    def _until(self, now: float) -> None:
        while self._events and self._events[0][0] <= now:
            at, number, replica, batch = heapq.heappop(self._events)
            self.ended = at
            if batch is None:
                replica.waiting.append(self._joining.pop(number))
            else:
                self.waits += [(arrived, at - arrived) for arrived in batch]
                replica.in_flight -= len(batch)
                self._place(replica)
            if replica.free_at <= at:
                self._begin(replica, at)

    def _arrive(self, now: float) -> None:
        replica, service = self._pick(), self._service
        wait = max(0.0, replica.free_at - now) + service.ahead(replica.taken)
        if replica.taken >= service.places or MARGIN * (wait + service.seconds[0]) > service.deadline:
            self.refused.append(now)
            self._place(replica)
            return
        replica.taken += 1
        replica.in_flight += 1
        number = next(self._numbers)
        self._joining[number] = now
        heapq.heappush(self._events, (now + service.delay, number, replica, None))
        self._place(replica)

    def _begin(self, replica: Replica, now: float) -> None:
        size = min(len(replica.waiting), len(self._service.seconds))
        if size:
            batch = [replica.waiting.popleft() for _ in range(size)]
            seconds = self._service.seconds[size - 1]
            replica.taken -= size
            replica.free_at, replica.busy = now + seconds, replica.busy + seconds
            heapq.heappush(self._events, (replica.free_at, next(self._numbers), replica, batch))

    def _pick(self) -> Replica:
        while True:
            in_flight, turn, index = heapq.heappop(self._order)
            replica = self._replicas[index]
            if (in_flight, turn) == (replica.in_flight, replica.turn):
                replica.turn = next(self._numbers)
                return replica

    def _place(self, replica: Replica) -> None:
        heapq.heappush(self._order, (replica.in_flight, replica.turn, replica.index))


def poisson(rate: float, number: int, seed: int) -> Iterator[float]:
    """Times of `number` arrivals that know nothing of each other."""
    random, now = Random(seed), 0.0
    for _ in range(number):
        now += random.expovariate(rate)
        yield now


def simulate(service: Service, replicas: int, rate: float, *, number: int = 0, seed: int = 0) -> Outcome:
    """What becomes of `number` Poisson arrivals at `rate` requests per second; unless told, as many as are needed."""
    number = number or max(FEWEST, PER_REPLICA * replicas)
    arrivals = list(poisson(rate, number, seed))
    simulation = Simulation(service, replicas)
    simulation.run(iter(arrivals))
    since = arrivals[int(WARM_UP * number)]
    waits = sorted(wait for arrived, wait in simulation.waits if arrived >= since)
    refused = sum(arrived >= since for arrived in simulation.refused)
    return Outcome(waits, refused, simulation.busy / (replicas * simulation.ended))
