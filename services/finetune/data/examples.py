"""What a row of training data is, whatever format it came in, and where it stands.

DetectionExample   a picture and its objects: boxes, labels, masks       detection, OWL-ViT
PairExample        a picture and what is said of it                      CLIP
ChatExample        a conversation with pictures among its words          LLaVA

An example knows where its pictures are and does not hold them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


def printable(text: str) -> str:
    """`text` as one line for a terminal, whatever names of files and classes are in it."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, as its owner finds it again: a file, and its line or entry."""

    file: Path
    at: str = ""  # "line 12", "annotations[3]"

    def __str__(self) -> str:
        return printable(f"{self.file}: {self.at}" if self.at else str(self.file))


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of a picture when it was decoded, upright.

    size       width and height in pixels
    sha256     of its encoded bytes
    likeness   the picture as 8 x 8 pixels of RGB: 192 bytes that are nearly the same where two look alike
    """

    size: tuple[int, int]
    sha256: str
    likeness: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """A picture: a file, or a member of an uncompressed tar file, which is `size` bytes from `start` on.

    look   what was seen of it, once it was decoded
    """

    path: Path
    member: str | None = None
    start: int = 0
    size: int = -1  # to the end
    look: Look | None = field(default=None, compare=False)

    def read(self) -> bytes:
        """The encoded bytes. Raises `OSError`."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            return file.read(self.size)

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}:{self.member}"


@dataclass(frozen=True, slots=True)
class DetectionExample:
    """A picture of `size` (width, height) with its objects; none is an example as well.

    masks   COCO segmentations (polygons or run lengths), one for each box; None where the data has none
    """

    picture: Source
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    labels: tuple[str, ...]
    masks: tuple[Any, ...] | None
    place: Place


@dataclass(frozen=True, slots=True)
class PairExample:
    """A picture and a text; `label` is its class where the data has classes."""

    picture: Source
    text: str
    label: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class Turn:
    """What one side says: text and pictures in their order."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[str | Source, ...]


@dataclass(frozen=True, slots=True)
class ChatExample:
    """A conversation; its last turn is the assistant's. evaluations tell each `kind` apart, where data has it."""

    turns: tuple[Turn, ...]
    place: Place
    kind: str = ""


Example = DetectionExample | PairExample | ChatExample
Row = TypeVar("Row", DetectionExample, PairExample, ChatExample)


def pictures(example: Example) -> tuple[Source, ...]:
    """The pictures of an example, in their order."""
    if isinstance(example, ChatExample):
        return tuple(part for turn in example.turns for part in turn.parts if isinstance(part, Source))
    return (example.picture,)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row, and what its owner can do about it."""

    place: Place
    what: str

    def __str__(self) -> str:
        return printable(f"{self.place}: {self.what}")


@dataclass(frozen=True, slots=True)
class Dataset:
    """The sound rows of a data set, what is wrong with the others, and a hash of all its bytes.

    statistics   what the report tells of the data: counts, classes, sizes
    notes        what is worth knowing and breaks nothing
    """

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    sha256: str
    statistics: Mapping[str, Any]
    notes: tuple[str, ...] = ()


def only(kind: type[Row], examples: Iterable[Example]) -> list[Row]:
    """Those of the examples that are of this kind, as the types cannot tell."""
    return [example for example in examples if isinstance(example, kind)]
