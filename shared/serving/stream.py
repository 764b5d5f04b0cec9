"""The life of a request whose answer comes piece by piece.

    route -> open()  -> reserve      a place in the bounded queue        full, or too late -> 503 + Retry-After
          begin()    -> preprocess   CPU pool, this request only         wrong input  -> 4xx, alone
                     -> inbox
          turn()     -> admit        on the device thread                caller left or late -> skipped
                     -> step         one piece for everybody who speaks  raises -> only the guilty one fails
                     -> post         back to each waiting route, and the next turn
          Stream     -> pieces       as they come; leaving it ends it within one step

The place is held until the first piece: those who speak are bounded by the model itself. A turn is a job between two
batches of the engine's loop. An answer is spoken to its end by the weights that served when its request came; when
others take over, both step until nobody speaks on the old.
"""

import asyncio
import threading
import time
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from shared import logs
from shared.errors import DeadlineExceeded, OcelliError, Unavailable
from shared.serving.batch import AnyModel, Lane
from shared.serving.metrics import (
    FIRST_TOKEN_SECONDS,
    INTER_TOKEN_SECONDS,
    KV_USAGE,
    RUNNING,
    STREAM_SECONDS,
    WAITING,
)
from shared.serving.model import DeviceLost, Features, Identity, Item, Model, Result, State
from shared.serving.queue import BatchQueue
from shared.serving.scheduler import Scheduler

if TYPE_CHECKING:
    from shared.spans import Span

log = logs.get(__name__)


class Stream:
    """One answer on its way: pieces in, pieces out, and who waits for them."""

    def __init__(
        self, identity: Identity, deadline: float, loop: asyncio.AbstractEventLoop, *, span: "Span | None" = None
    ) -> None:
        """`identity` is that of the weights that answer, `span` that of the request, where it is traced."""
        self.identity, self.deadline, self.span = identity, deadline, span
        self.counts: Mapping[str, Any] = {}  # what the service tells of the answer in its trace
        self.accepted = time.monotonic()
        self.queued = 0.0  # when it was preprocessed
        self.began = 0.0  # when the model was asked for the first piece
        self.spoken = 0.0  # when the first piece came
        self.latest = 0.0  # when the latest one came
        self._pieces: deque[Any] = deque()
        self._error: OcelliError | None = None
        self._ended = self._left = False
        self._news = asyncio.Event()
        self._late = loop.call_later(deadline - self.accepted, self.end, DeadlineExceeded())

    def wanted(self) -> bool:
        """Whether somebody still waits for pieces. Safe from any thread."""
        return not self._left and not self._ended

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds until the first piece, by stage."""
        began = self.began or time.monotonic()
        return {"queue": began - self.accepted, "first": max(0.0, self.spoken - began)}

    # On the event loop.

    def put(self, piece: Any) -> None:
        """Hand a piece to whoever waits."""
        if not self._ended:
            self._pieces.append(piece)
            self._news.set()

    def end(self, error: OcelliError | None = None) -> None:
        """Nothing more comes; with an error, since something went wrong."""
        if not self._ended:
            self._ended, self._error = True, error
            self._late.cancel()
            self._news.set()

    def leave(self) -> None:
        """Nobody waits any more."""
        self._left = True
        self._late.cancel()

    @property
    def outcome(self) -> BaseException | None:
        """Why the answer is not whole, if it is not."""
        return self._error if self._ended else asyncio.CancelledError()

    async def pieces(self) -> AsyncIterator[Sequence[Any]]:
        """All that has come since the last look, at least one piece each time. Raises the error that ended it."""
        while True:
            await self._news.wait()
            self._news.clear()
            if self._pieces:
                fresh = list(self._pieces)
                self._pieces.clear()
                yield fresh
            if self._ended and not self._pieces:
                if self._error is not None:
                    raise self._error
                return


Outcome = tuple[Stream, Any, bool, OcelliError | None]  # a piece or None, whether it was the last, and what went wrong


class Load(NamedTuple):
    """Answers that a step computes, those that wait for a place in it, and the share of memory in use, 0 to 1."""

    running: int = 0
    waiting: int = 0
    memory: float = 0.0


class StreamModel(Model[Item, Features, Result, State]):
    """A model that answers step by step; `predict` answers whole, and serves for warm-up and golden cases alone."""

    @abstractmethod
    def admit(self, features: Features, stream: Stream) -> None:
        """Let a request in. Runs on the device thread. Raises an `OcelliError` for what cannot be answered any more."""

    @abstractmethod
    def step(self) -> Iterable[Outcome]:
        """One piece for everybody who can have one. Runs on the device thread. Raises `DeviceLost`."""

    @property
    @abstractmethod
    def busy(self) -> bool:
        """Whether there is anybody to step for."""

    @property
    def load(self) -> Load:
        """How much there is to do. Read from any thread."""
        return Load()


AnyStreamModel = StreamModel[Any, Any, Any, Any]


class StreamLane(Lane):
    """A served name whose answers stream."""

    def __init__(self, name: str, make: Callable[[], AnyModel], queue: BatchQueue) -> None:
        super().__init__(name, make, queue)
        self._speaking: tuple[AnyStreamModel, ...] = ()  # models with somebody to step for
        self._first, self._gap = FIRST_TOKEN_SECONDS.labels(name), INTER_TOKEN_SECONDS.labels(name)
        self._whole = STREAM_SECONDS.labels(name)
        self._inbox: deque[tuple[Stream, AnyStreamModel, Any]] = deque()
        self._open: set[Stream] = set()
        self._turning = False
        self._lock = threading.Lock()
        RUNNING.labels(name).set_function(lambda: sum(model.load.running for model in self._speaking))
        WAITING.labels(name).set_function(lambda: sum(model.load.waiting for model in self._speaking))
        KV_USAGE.labels(name).set_function(lambda: max((model.load.memory for model in self._speaking), default=0.0))

    def begin(
        self, model: AnyStreamModel, item: Any, stream: Stream, scheduler: Scheduler, loop: asyncio.AbstractEventLoop
    ) -> None:
        """Preprocess for `model`, and let it in at the next turn; or tell its caller why not. On the CPU pool."""
        try:
            features = self.preprocess(model, item)
        except Exception as error:
            scheduler.release(self.queue)
            if not isinstance(error, OcelliError):
                log.exception("preprocess_failed", model=self.name)
                error = OcelliError()
            loop.call_soon_threadsafe(stream.end, error)
            return
        stream.queued = time.monotonic()
        self._stages["preprocess"].observe(stream.queued - stream.accepted)
        with self._lock:
            self._inbox.append((stream, model, features))
            idle, self._turning = not self._turning, True
        if idle:
            scheduler.post(lambda: self.turn(scheduler, loop))

    # On the device thread.

    def turn(self, scheduler: Scheduler, loop: asyncio.AbstractEventLoop) -> None:
        """Let in who waits, step once for all, and come again while anybody is there."""
        try:
            outcomes = [*self._let_in(scheduler), *self._step(scheduler)]
        except Exception as raised:
            self._fail(loop, scheduler)
            if isinstance(raised, DeviceLost):
                raise
            log.exception("step_failed", model=self.name)
            raise DeviceLost("the step of a streaming model failed") from raised
        if outcomes:
            loop.call_soon_threadsafe(_deliver, outcomes)
        with self._lock:
            self._turning = bool(self._speaking or self._inbox)
        if self._turning:
            scheduler.post(lambda: self.turn(scheduler, loop))

    def _let_in(self, scheduler: Scheduler) -> Iterable[Outcome]:
        while self._inbox:
            stream, model, features = self._inbox.popleft()
            if not stream.wanted():
                scheduler.release(self.queue)
                continue
            stream.began = time.monotonic()
            self._stages["queue"].observe(stream.began - stream.queued)
            self._open.add(stream)
            if model not in self._speaking:
                self._speaking = (*self._speaking, model)
            try:
                model.admit(features, stream)
            except OcelliError as error:
                yield self._track(stream, None, scheduler, ended=True), None, True, error

    def _step(self, scheduler: Scheduler) -> Iterable[Outcome]:
        for model in self._speaking:
            if model.busy:
                began, told = time.monotonic(), 0
                for stream, piece, ended, error in model.step():
                    told += piece is not None
                    yield self._track(stream, piece, scheduler, ended=ended), piece, ended, error
                self._stages["forward"].observe(time.monotonic() - began)
                if told:
                    self._batch_size.observe(told)
        self._speaking = tuple(model for model in self._speaking if model.busy)

    def _track(self, stream: Stream, piece: Any, scheduler: Scheduler, *, ended: bool) -> Stream:
        """Give the place back at the first piece, or at the end of an answer without one."""
        now = time.monotonic()
        if not stream.spoken and (ended or piece is not None):
            stream.spoken = now
            scheduler.release(self.queue)
            if piece is not None:
                self._first.observe(now - stream.accepted)
        elif piece is not None:
            self._gap.observe(now - stream.latest)
        stream.latest = now
        if ended:
            self._open.discard(stream)
            if piece is not None:
                self._whole.observe(now - stream.accepted)
        return stream

    def _fail(self, loop: asyncio.AbstractEventLoop, scheduler: Scheduler) -> None:
        inbox = [stream for stream, _, _ in self._inbox]
        self._inbox.clear()
        for _ in inbox:
            scheduler.release(self.queue)
        gone = [*(self._track(stream, None, scheduler, ended=True) for stream in list(self._open)), *inbox]
        lost = Unavailable("The device failed. Retry the request.", code="device_lost")
        loop.call_soon_threadsafe(_deliver, [(stream, None, True, lost) for stream in gone])


def _deliver(outcomes: Sequence[Outcome]) -> None:
    for stream, piece, ended, error in outcomes:
        if piece is not None:
            stream.put(piece)
        if ended:
            stream.end(error)
