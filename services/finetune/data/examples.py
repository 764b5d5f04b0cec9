"""What a row of training data is, whatever format it came in, and where it stands.

DetectionExample   a picture and its objects: boxes, labels, masks       detection, OWL-ViT
PairExample        a picture and what is said of it                      CLIP
ChatExample        a conversation with pictures among its words          LLaVA

An example knows where its pictures are and does not hold them.
"""

import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, as its owner finds it again: a file, and its line or entry."""

    file: Path
    at: str = ""  # "line 12", "annotations[3]"

    def __str__(self) -> str:
        return f"{self.file}: {self.at}" if self.at else str(self.file)


@dataclass(frozen=True, slots=True)
class Source:
    """A picture: a file, or a member of a tar file."""

    path: Path
    member: str | None = None

    def read(self) -> bytes:
        """The encoded bytes. Raises `OSError`."""
        if self.member is None:
            return self.path.read_bytes()
        with tarfile.open(self.path) as tar:
            file = tar.extractfile(self.member)
            if file is None:
                raise FileNotFoundError(f"{self.path} has no file {self.member}")
            return file.read()

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


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a row, and what its owner can do about it."""

    place: Place
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """The sound rows of a data set, what is wrong with the others, and a hash of all its bytes.

    statistics   what the report tells of the data: counts, classes, sizes
    """

    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]
    sha256: str
    statistics: Mapping[str, Any]
