"""What the serving core asks of a model, and what it promises in return.

A model holds one set of weights for its life; a push makes another one beside it.

method               thread                    may fail with             called
read(path)           CPU                       RefusedWeights            once, before anything else
use(state)           device, between batches   refuses the version       once
preprocess(item)     CPU pool                  OcelliError (4xx)         once per request
predict(batch)       device                    the batch is split        once per batch
rehearse(batch)      device, piece by piece    refuses the version       self-test and warm-up
cost(features)       any                       -                         pixels or tokens, for the batch budget
example()            CPU                       refuses the version       warm-up and self-test
golden()             CPU                       refuses the version       self-test: inputs with known answers
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Features = TypeVar("Features")
Result = TypeVar("Result")
State = TypeVar("State")


class RefusedWeights(Exception):
    """These weights cannot be served; the sentence tells the operator why."""


class DeviceLost(Exception):
    """The device fails every call from now on (a sticky CUDA error): the process must end and start anew."""


class DeviceOutOfMemory(Exception):
    """The batch did not fit into the device's memory; a smaller one may."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which bytes answer: the name that is served, the version's id and the digest of its manifest."""

    model: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Case(Generic[Item, Result]):
    """A golden case: an input, and the check that the answer must pass (it returns what is wrong, or None)."""

    item: Item
    check: Callable[[Result], str | None]


class Model(ABC, Generic[Item, Features, Result, State]):
    """A model as the serving core sees it: no HTTP, no queue, no threads of its own."""

    @abstractmethod
    def read(self, path: Path) -> State:
        """Read a verified version directory into host memory. Raises `RefusedWeights`."""

    @abstractmethod
    def use(self, state: State) -> None:
        """Bring `state` to the device and answer from it. Runs on the device thread, once in a model's life."""

    @abstractmethod
    def preprocess(self, item: Item) -> Features:
        """Turn one request's item into features. Everything that one request alone can get wrong is found here."""

    @abstractmethod
    def predict(self, batch: Sequence[Features]) -> Sequence[Result]:
        """Answer a batch, one result per features, in the same order. Runs on the device thread."""

    def rehearse(self, batch: Sequence[Features]) -> Generator[None, None, Sequence[Result]]:
        """`predict` in pieces, between which users are served. What answers in many steps yields after each."""
        yield from ()
        return self.predict(batch)

    def cost(self, features: Features) -> int:
        """What these features add to the batch budget, in the model's own unit (pixels or tokens)."""
        return 1

    @abstractmethod
    def example(self) -> Item:
        """A valid item for warm-up."""

    def golden(self) -> Sequence[Case[Item, Result]]:
        """Cases that the weights in use must answer rightly before they serve; they belong to the version."""
        return ()

    def describe(self) -> Mapping[str, Any]:
        """What `/v1/models` tells about the weights in use: at least capabilities, device and dtype."""
        return {"capabilities": [], "device": "cpu", "dtype": "float32"}

    @property
    def space(self) -> str:
        """The id of the embedding space that results lie in, which compare only within one; empty where none do."""
        return ""

    def memory(self) -> Mapping[str, int]:
        """Bytes of the device's memory, `allocated` by tensors and `reserved` by the allocator; empty on a CPU."""
        return {}

    def spare(self) -> int | None:
        """Bytes that another set of weights may take on the device; None where that is not known."""
        return None

    def demand(self, path: Path) -> int:
        """Bytes that a model of this kind takes on the device with the version at `path`, told without reading it."""
        return 0

    def warm_sizes(self, max_batch: int) -> Sequence[int]:
        """Batch sizes to run once before serving."""
        return (1,)

    def pulse(self) -> None:
        """Touch the device while idle, so that a lost one shows. Runs on the device thread, about once a second."""

    def classify(self, error: BaseException) -> BaseException:
        """Translate an error of the device library into `DeviceOutOfMemory` or `DeviceLost`, or return it as it is."""
        return error


@dataclass(frozen=True, slots=True, eq=False)
class Weights:
    """A set of weights that can answer: the model that holds it, and which one it is."""

    model: Any  # a `Model`; who serves one knows which
    identity: Identity
