"""One batch on the device: predict, and when that raises, split until only the guilty item fails.

predict(batch) -> one result each -> answers
   | raises    -> halves, each anew; an item that raises alone gets its error, its batch-mates their answers
   | no memory -> halves, and the queue remembers the size that did not fit
   | lost      -> everybody is told to retry elsewhere, and the process ends

An item is answered by the weights that served when it was accepted: while others take over, a batch falls into two.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from shared import logs
from shared.errors import OcelliError, OutOfMemory, Unavailable
from shared.laps import timed
from shared.serving.metrics import (
    BATCH_LIMIT,
    BATCH_SIZE,
    BATCH_SPLITS,
    IN_FLIGHT,
    QUEUE_DEPTH,
    QUEUE_LIMIT,
    STAGE_SECONDS,
)
from shared.serving.model import DeviceLost, DeviceOutOfMemory, Identity, Model, Weights
from shared.serving.queue import BatchQueue
from shared.serving.ticket import Ticket

Outcome = tuple[Ticket, Any]  # the result, or the OcelliError that stands for it
Post = Callable[[Sequence[Outcome]], None]
AnyModel = Model[Any, Any, Any, Any]

DEVICE_LOST = Unavailable("The device failed. Retry the request.", code="device_lost")

log = logs.get(__name__)


class Lane:
    """One served name with its queue, the weights that answer, those before, which stay warm for a way back, and those
    that are kept beside them for whoever asks for their embedding space."""

    def __init__(self, name: str, make: Callable[[], AnyModel], queue: BatchQueue) -> None:
        """`make` makes an empty model."""
        self.name, self.make, self.queue = name, make, queue
        self.weights: Weights | None = None
        self.previous: Weights | None = None
        self.kept: Weights | None = None
        self.since = 0.0  # when the weights began to serve, of `time.time()`
        BATCH_LIMIT.labels(name).set_function(lambda: queue.batch_limit)
        QUEUE_DEPTH.labels(name).set_function(lambda: queue.taken)
        QUEUE_LIMIT.labels(name).set(queue.limit)
        self.in_flight = IN_FLIGHT.labels(name)
        self._batch_size = BATCH_SIZE.labels(name)
        self._splits = {reason: BATCH_SPLITS.labels(name, reason) for reason in ("memory", "error")}
        self._stages = {
            stage: STAGE_SECONDS.labels(name, stage) for stage in ("decode", "preprocess", "queue", "forward")
        }

    @property
    def identity(self) -> Identity | None:
        """Which weights answer; None before the first."""
        return None if self.weights is None else self.weights.identity

    @property
    def beside(self) -> Weights | None:
        """What serves beside the weights that answer, for whoever demands its space."""
        return None if self.kept is self.weights else self.kept

    def take(self, weights: Weights) -> None:
        """Answer from `weights` from now on. One assignment: who was accepted before keeps what served then."""
        self.previous, self.weights, self.since = self.weights, weights, time.time()
        if self.kept is weights:
            self.kept = None

    def preprocess(self, model: AnyModel, item: Any) -> Any:
        """The features of an item; raises as the model does. On a thread of the pool."""
        with timed() as laps:
            features = model.preprocess(item)
        if "decode" in laps:
            self._stages["decode"].observe(laps["decode"])
        return features

    def run(self, batch: Sequence[Ticket], post: Post) -> None:
        """Answer `batch` through `post`, in one piece or several. Raises `DeviceLost` after telling every caller."""
        groups = defaultdict[Weights, list[Ticket]](list)
        for ticket in batch:
            assert ticket.weights is not None
            groups[ticket.weights].append(ticket)
        for weights, tickets in groups.items():
            self._predict(weights.model, tickets, post)

    def _predict(self, model: AnyModel, batch: Sequence[Ticket], post: Post) -> None:
        now = time.monotonic()
        tickets = [ticket for ticket in batch if ticket.wanted(now)]
        if not tickets:
            return
        for ticket in tickets:
            ticket.started = now
        try:
            results = model.predict([ticket.features for ticket in tickets])
            outcomes = list(zip(tickets, results, strict=True))
        except Exception as error:  # noqa: BLE001 -- the batch boundary
            self._blame(model, tickets, error, post)
            return
        self._account(tickets, now)
        post(outcomes)

    def _account(self, tickets: Sequence[Ticket], started: float) -> None:
        finished = time.monotonic()
        self.queue.remember_success(len(tickets), finished - started)
        self._batch_size.observe(len(tickets))
        for ticket in tickets:
            ticket.finished = finished
            for stage, seconds in ticket.stages.items():
                self._stages[stage].observe(seconds)

    def _blame(self, model: AnyModel, tickets: Sequence[Ticket], raised: Exception, post: Post) -> None:
        error = model.classify(raised)
        if isinstance(error, DeviceLost):
            post(
                [
                    (ticket, Unavailable("The device failed. Retry the request.", code="device_lost"))
                    for ticket in tickets
                ]
            )
            raise error from raised
        no_memory = isinstance(error, DeviceOutOfMemory)
        if no_memory:
            self.queue.remember_overflow(len(tickets))
        if len(tickets) == 1:
            post([(tickets[0], self._verdict(error))])
            return
        self._splits["memory" if no_memory else "error"].inc()
        half, rest = (len(tickets) + 1) // 2, tickets
        while rest:
            size = min(half, self.queue.batch_limit) if no_memory else half
            self._predict(model, rest[:size], post)
            rest = rest[size:]

    def _verdict(self, error: BaseException) -> OcelliError:
        if isinstance(error, OcelliError):
            return error
        if isinstance(error, DeviceOutOfMemory):
            return OutOfMemory()
        log.error("item_failed", model=self.name, kind=type(error).__name__, reason=str(error))
        return OcelliError("The model failed on this item. Its batch-mates were answered.", code="model_failed")
