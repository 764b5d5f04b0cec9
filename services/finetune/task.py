"""What the job asks of a task: detection, clip, owlvit or llava.

demo       -> data in the task's own format, for `--demo`
read       -> Dataset                     rows that are sound, and what is wrong with the others
course     -> Course                      what is taught and for how long; `--dry-run` times its first steps
train      -> a directory with the files of a version        services/finetune/job.py tells the rest
open       -> Opened                      a version in the very model class that serves, to judge and to time it
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from PIL import Image

from services.finetune.data import formats
from services.finetune.data.examples import Dataset, Example
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from shared.serving.model import Model
from shared.weights.store import Version

if TYPE_CHECKING:  # the settings are read before torch is loaded
    from services.finetune.training.plan import Plan
    from services.finetune.training.teacher import Lesson


class Curve(NamedTuple):
    """A line of a chart."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


class Confusion(NamedTuple):
    """How often what is (rows) was taken for what (columns); the last name may be "nothing"."""

    names: Sequence[str]
    counts: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer beside the truth, drawn or written; `error` sorts them, the worst first."""

    title: str
    error: float
    picture: Image.Image
    truth: str = ""
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good a version is on some examples.

    scores      figures by name, those of one class as `ap50/circle`; higher is better, but for `comparison.LESS`
    charts      curves by the chart's title, such as "precision over recall"
    """

    scores: Mapping[str, float]
    charts: Mapping[str, Sequence[Curve]] = field(default_factory=dict)
    confusion: Confusion | None = None
    shown: Sequence[Shown] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """All that is learnt from and judged by.

    train, validation   the new data
    replay, old         what the base knows already: learnt beside the new, and judged by, so that forgetting shows
    """

    train: Sequence[Example]
    validation: Sequence[Example]
    replay: Sequence[Example]
    old: Sequence[Example]


@dataclass(frozen=True, slots=True)
class Opened:
    """A version as its service runs it: `model` answers the `item` of an example, and `evaluate` judges its answers."""

    model: Model[Any, Any, Any, Any]
    item: Callable[[Example], Any]
    evaluate: Callable[[Sequence[Example]], Evaluation]


class Course(Protocol):
    """What is taught, and for how long."""

    @property
    def lesson(self) -> "Lesson":
        """What, and how it is judged."""

    @property
    def plan(self) -> "Plan":
        """For how long, how fast and where."""


class Task(ABC):
    """One kind of model that can be taught."""

    name: ClassVar[str]  # of the service
    model: ClassVar[str]  # the service's default model
    headline: ClassVar[str]  # the score that the gate and the best checkpoint go by: higher is better
    augmentations: ClassVar[Sequence[str]] = ()  # that `--augment` can name

    @abstractmethod
    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Write the demo's data: paths for `data`, `validation`, `replay` and `old`, as a user would give them."""

    def read(self, source: Path) -> Dataset:
        """Read a data set in any format of the task. Raises `DataError` where nothing can be made of it."""
        return formats.read(source, self.name)

    @abstractmethod
    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach `base`; returns a directory with the files of a version, golden cases included.

        Raises `Stopped` after SIGTERM, with a checkpoint that the next run goes on from.
        """

    @abstractmethod
    def course(self, base: Version, material: Material, settings: JobSettings) -> Course:
        """What `train` begins with. Raises `JobError`."""

    @abstractmethod
    def open(self, version: Path) -> Opened:
        """Read the version in a directory, which may lack its manifest."""

    def evaluate(self, version: Path, examples: Sequence[Example]) -> Evaluation:
        """Judge the version in a directory."""
        return self.open(version).evaluate(examples)

    def estimate(self, base: Version, material: Material, settings: JobSettings) -> Mapping[str, Any]:
        """What `--dry-run` tells: steps, seconds and bytes of memory."""
        from services.finetune.training.estimate import estimate

        course = self.course(base, material, settings)
        return estimate(course.lesson, course.plan)
