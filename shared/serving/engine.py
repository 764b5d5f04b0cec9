"""The engine: the life of a request from the route to the device and back. Read this first.

    route -> infer() -> reserve      a place in the bounded queue       full, or too late -> 503 + Retry-After
         submit()    -> preprocess   CPU pool, this request only        wrong input  -> 4xx, alone
                     -> put          into the place that was reserved
         loop()      -> next_work    what waits when the device frees   caller left or late -> skipped
                     -> run          predict on the one device thread   raises       -> split; one guilty item fails
                     -> resolve      back to each waiting route         too late     -> 504
    try_out()        -> a fresh model: read (CPU thread) -> use, self-test, warm up (device thread, between two batches)
                     -> the lane takes it, in one assignment; who was accepted before is answered by what served then

A place is reserved before anything is decoded, so that a refusal costs next to nothing. Answers that come piece by
piece live in `stream.py`; their steps are jobs of this loop.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from shared import logs, tracing
from shared.errors import DeadlineExceeded, ModelNotFound, OcelliError, Unavailable
from shared.serving.batch import DEVICE_LOST, Lane, Outcome
from shared.serving.metrics import DEVICE_HEALTHY, OUTCOMES, REQUESTS
from shared.serving.model import DeviceLost, Identity, Weights
from shared.serving.pool import Pool
from shared.serving.scheduler import Scheduler
from shared.serving.stages import trace_batch, trace_item, trace_stream
from shared.serving.stream import Stream, StreamLane
from shared.serving.takeover import Trial
from shared.serving.ticket import Ticket

T = TypeVar("T")
STALLED_S = 30.0  # a device thread that is busy for longer, and for ten times its usual batch, is not ready

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Answer:
    """A result, the weights that it came from, and the seconds of each stage."""

    result: Any
    identity: Identity
    stages: Mapping[str, float]
    finished: float  # when the device was done with it, of time.monotonic()


class Engine:
    """The lanes of one device, the pool that prepares for them, and the thread that runs them."""

    def __init__(self, service: str, lanes: Iterable[Lane], *, pool: Pool, on_lost: Callable[[], None]) -> None:
        """`on_lost` is called on the event loop when the device fails for good."""
        self.service, self.pool = service, pool
        self.lanes = {lane.name: lane for lane in lanes}
        self.scheduler = Scheduler({name: lane.queue for name, lane in self.lanes.items()})
        self._by_queue = {lane.queue: lane for lane in self.lanes.values()}
        self._on_lost, self._lost = on_lost, False
        self._busy_since: float | None = None
        self._beat = time.monotonic()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self.loop, name="device", daemon=True)
        DEVICE_HEALTHY.labels(service).set_function(lambda: self.health == "ok")
        for outcome in OUTCOMES:  # a counter that begins at its first error hides that error from rates
            for name in self.lanes:
                REQUESTS.labels(service, name, outcome)

    def start(self) -> None:
        """Start the device thread."""
        self._thread.start()

    # On the event loop.

    async def infer(self, name: str, item: Any, *, deadline: float, weights: Weights | None = None) -> Answer:
        """Answer one item by `deadline` (of `time.monotonic()`), or raise an `OcelliError` that says why not.

        `weights` are those that its request began with (`Engine.weights`); None for what serves now.
        """
        lane, weights = self.lane(name), weights or self.weights(name)
        with lane.in_flight.track_inprogress():
            try:
                answer = await self._live(lane, item, weights, deadline)
            except BaseException as error:
                REQUESTS.labels(self.service, name, _outcome(error)).inc()
                raise
        REQUESTS.labels(self.service, name, "ok").inc()
        return answer

    async def infer_all(
        self, name: str, items: Sequence[Any], *, deadline: float, weights: Weights | None = None
    ) -> list[Answer]:
        """Answer several items of one request, by the same weights, in their order. The first error cancels all."""
        weights = weights or self.weights(name)
        if len(items) == 1:
            return [await self.infer(name, items[0], deadline=deadline, weights=weights)]
        try:
            async with asyncio.TaskGroup() as group:
                answers = (self.infer(name, item, deadline=deadline, weights=weights) for item in items)
                tasks = [group.create_task(answer) for answer in answers]
        except* OcelliError as errors:
            raise next(iter(_leaves(errors))) from None
        return [task.result() for task in tasks]

    @contextlib.asynccontextmanager
    async def open(
        self, name: str, item: Any, *, deadline: float, weights: Weights | None = None
    ) -> AsyncIterator[Stream]:
        """The answer to one item, piece by piece, until the caller leaves the context. Raises as `infer` does."""
        lane = self.lane(name)
        assert isinstance(lane, StreamLane)
        with lane.in_flight.track_inprogress():
            weights = weights or self.weights(name)
            stream = Stream(weights.identity, deadline, self._loop, span=tracing.here())
            try:
                self._begin(lane, item, weights, stream)
                yield stream
            finally:
                outcome = stream.outcome
                stream.leave()
                trace_stream(stream)
                REQUESTS.labels(self.service, name, "ok" if outcome is None else _outcome(outcome)).inc()

    def lane(self, name: str) -> Lane:
        """The lane of a served model. Raises `ModelNotFound`, and `Unavailable` before its first weights serve."""
        lane = self.lanes.get(name)
        if lane is None:
            known = ", ".join(self.lanes)
            raise ModelNotFound(f"No such model here. Served are: {known}.", param="model")
        if lane.weights is None:
            raise Unavailable("This model is still loading. Retry later.", code="not_ready", retry_after=5)
        return lane

    def weights(self, name: str) -> Weights:
        """The weights that serve under a name now. A request looks once and keeps them. Raises as `lane` does."""
        weights = self.lane(name).weights
        assert weights is not None
        return weights

    def _begin(self, lane: StreamLane, item: Any, weights: Weights, stream: Stream) -> None:
        try:
            self.scheduler.reserve(lane.queue, stream.deadline)
        except OcelliError as error:
            stream.end(error)
            raise
        self.pool.submit(lane.begin, weights.model, item, stream, self.scheduler, self._loop)

    async def _live(self, lane: Lane, item: Any, weights: Weights, deadline: float) -> Answer:
        self.scheduler.reserve(lane.queue, deadline)
        ticket = Ticket(deadline, self._loop.create_future(), weights=weights, span=tracing.here())
        self.pool.submit(self.submit, lane, item, ticket)
        late = self._loop.call_later(deadline - ticket.accepted, ticket.fail, DeadlineExceeded())
        try:
            result = await ticket.future
        finally:
            late.cancel()
            trace_item(ticket)
        return Answer(result, weights.identity, ticket.stages, ticket.finished)

    async def call(self, function: Callable[[], T]) -> T:
        """`function()` on the device thread, between two batches."""
        future: asyncio.Future[T] = self._loop.create_future()

        def job() -> None:
            try:
                result = function()
            except Exception as error:
                self._loop.call_soon_threadsafe(_settle, future.set_exception, error)
                if isinstance(error, DeviceLost):
                    raise
            else:
                self._loop.call_soon_threadsafe(_settle, future.set_result, result)

        self.scheduler.post(job)
        return await future

    async def try_out(self, name: str, path: Path, identity: Identity, *, race: bool = True) -> Weights:
        """The weights at `path`, warm and proved beside those that serve under `name`. Raises `RefusedWeights`.

        Without a `race` they may be as slow as they are: they served before what serves now.
        """
        return await Trial(self.lanes[name], self.call, race=race).run(path, identity)

    async def take_over(self, name: str, path: Path, identity: Identity) -> None:
        """Serve the weights at `path` under `name`. Raises `RefusedWeights`; what served before goes on then."""
        self.lanes[name].take(await self.try_out(name, path, identity))

    @property
    def health(self) -> str:
        """`"ok"` while the device thread turns, as proven by itself; what is wrong otherwise."""
        if self._lost:
            return "device lost"
        if not self._thread.is_alive():
            return "device thread ended"
        now, busy = time.monotonic(), self._busy_since
        usual = max((lane.queue.times.estimate(lane.queue.max_items) for lane in self.lanes.values()), default=0.0)
        if (busy is not None and now - busy > max(STALLED_S, 10 * usual)) or (busy is None and now - self._beat > 5):
            return "device stalled"
        return "ok"

    async def close(self) -> None:
        """End the loop after everything that was accepted, and join its thread."""
        self.scheduler.close()
        await asyncio.to_thread(self._thread.join)
        self.pool.close()

    # On a thread of the pool.

    def submit(self, lane: Lane, item: Any, ticket: Ticket) -> None:
        """Preprocess an item and let it wait in the place that was reserved for it; or tell its caller why not."""
        try:
            if ticket.wanted(time.monotonic()):
                assert ticket.weights is not None
                model = ticket.weights.model
                features = lane.preprocess(model, item)
                ticket.prepare(features, model.cost(features))
                self.scheduler.put(lane.queue, ticket)
            else:
                self.scheduler.release(lane.queue)
        except Exception as error:
            self.scheduler.release(lane.queue)
            if not isinstance(error, OcelliError):
                log.exception("preprocess_failed", model=lane.name)
                error = OcelliError()
            self.resolve([(ticket, error)])

    # On the device thread.

    def loop(self) -> None:
        """Next work, run, resolve: until the engine is closed and everything that was accepted is answered."""
        while (work := self.scheduler.next_work(self._idle)) is not None:
            self._busy_since = time.monotonic()
            try:
                if callable(work):
                    work()
                else:
                    queue, batch = work
                    self._run(self._by_queue[queue], batch)
            except DeviceLost as error:
                self._lose(error)
            self._busy_since, self._beat = None, time.monotonic()

    def _run(self, lane: Lane, batch: list[Ticket]) -> None:
        if self._lost:
            self.resolve([(ticket, DEVICE_LOST) for ticket in batch])
        else:
            lane.run(batch, self.resolve)

    def resolve(self, outcomes: Sequence[Outcome]) -> None:
        """Hand results and errors back to the routes that wait for them."""
        self._loop.call_soon_threadsafe(_answer, outcomes)

    def _idle(self) -> None:
        for weights in [lane.weights for lane in self.lanes.values() if lane.weights is not None]:
            try:
                weights.model.pulse()
            except Exception as raised:  # noqa: BLE001 -- classified at once
                error = weights.model.classify(raised)
                if isinstance(error, DeviceLost):
                    self._lose(error)
        self._beat = time.monotonic()

    def _lose(self, error: DeviceLost) -> None:
        log.error("device_lost", reason=str(error))
        if not self._lost:
            self._lost = True
            self._loop.call_soon_threadsafe(self._on_lost)


def _answer(outcomes: Sequence[Outcome]) -> None:
    trace_batch(outcomes)
    for ticket, outcome in outcomes:
        if isinstance(outcome, OcelliError):
            ticket.fail(outcome)
        else:
            ticket.resolve(outcome)


def _settle(setter: Callable[[Any], None], value: Any) -> None:
    future: asyncio.Future[Any] = setter.__self__  # type: ignore[attr-defined]
    if not future.done():
        setter(value)


def _leaves(errors: BaseExceptionGroup[Any]) -> Iterable[OcelliError]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    if isinstance(error, OcelliError) and error.status < 500:
        return "client_error"
    if isinstance(error, OcelliError) and error.status in {503, 504}:
        return "overload"
    return "error"
