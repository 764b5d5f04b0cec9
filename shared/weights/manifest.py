"""The manifest of a version: what its files are, where they come from, how good they are.

    Card      what the publisher says: origin, data, metrics; of an adapter also what it is merged into, by digest
    Manifest  the card, and the size and SHA-256 of every file, which the store adds

The SHA-256 of the manifest's bytes is the identity of the version: it covers every file through its own digest.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from shared.weights.digest import digest
from shared.weights.errors import BadName, RefusedVersion
from shared.weights.names import check, check_version

MANIFEST = "manifest.json"
MANIFEST_BYTES = 4 << 20  # a manifest is a few kilobytes; a larger one is not a manifest
MAX_FILES = 1000
SUFFIXES = (".safetensors", ".json", ".txt", ".md", ".png", ".html")  # an allow-list: nothing here can carry code
_SEGMENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


def _name(what: str) -> AfterValidator:
    def validate(value: str) -> str:
        try:
            return check_version(value) if what == "version" else check(value, what)
        except BadName as error:
            raise ValueError(str(error)) from error

    return AfterValidator(validate)


def file_path(path: str) -> str:
    """Return `path` if a version may hold a file of that name, at most three folders deep. Raises `ValueError`."""
    segments = path.split("/")
    if len(segments) > 4 or path == MANIFEST or not all(_SEGMENT.fullmatch(segment) for segment in segments):
        raise ValueError(f"{path[:120]!r} cannot be a file of a version: plain names, no links out, no hidden files.")
    if not path.endswith(SUFFIXES):
        raise ValueError(f"{path[:120]!r} is of a kind that is never loaded; a version holds {', '.join(SUFFIXES)}.")
    return path


Text = Annotated[str, Field(max_length=4000)]
FilePath = Annotated[str, AfterValidator(file_path)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class File(_Record):
    """One file of a version."""

    sha256: Sha256
    bytes: int = Field(ge=0)


class Data(_Record):
    """What the weights were trained on."""

    description: Text
    sha256: Sha256 | None = Field(None, description="hash of the data set, or of the parameters that render it")


class Made(_Record):
    """Who made the weights, when, and how to make them again."""

    by: Text
    at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    recipe: Text | None = None
    command: Text | None = None
    code: Text | None = Field(None, description="revision of the source code")
    parameters: dict[str, bool | int | FiniteFloat | str] = Field({}, description="seed, steps, seconds, …")


class Pinned(_Record):
    """A version of the same model, held by its digest."""

    version: Annotated[str, _name("version")]
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class Merge(_Record):
    """Of an adapter: the base that it is merged into, and the version that comes of it."""

    task: Literal["detection", "clip", "owlvit", "llava"]
    base: Pinned
    result: Pinned


class Card(_Record):
    """What the publisher says about a version."""

    model: Annotated[str, _name("model")]
    version: Annotated[str, _name("version")]
    description: Text = ""
    base: Text | None = Field(None, description="what these weights started from, with its digest")
    adapter: Text | None = Field(None, description="the adapter that was trained, or merged into the base")
    merge: Merge | None = Field(None, description="of a version that is an adapter, and serves only merged")
    processor: Text | None = Field(None, description="the preprocessing that the weights expect")
    data: Data | None = None
    metrics: dict[str, FiniteFloat] = {}
    made: Made


class Manifest(Card):
    """The card of a version, and its files."""

    format: Literal[1] = 1
    files: dict[FilePath, File] = Field(min_length=1, max_length=MAX_FILES)

    @classmethod
    def of(cls, card: Card, files: Mapping[str, File]) -> Self:
        """The manifest of `files`. Raises `RefusedVersion` if they are none, or too many."""
        if not 1 <= len(files) <= MAX_FILES:
            raise RefusedVersion(f"A version holds 1 to {MAX_FILES} files, not {len(files)}.")
        return cls(**card.model_dump(), files=dict(files))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a manifest as it lies in a store. Raises `RefusedVersion`."""
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            raise RefusedVersion(f"Not a manifest that this release can read: {where}: {first['msg']}.") from error

    def encode(self) -> bytes:
        """The canonical bytes, which are written once and never again: sorted keys, two spaces, UTF-8."""
        fields = self.model_dump(mode="json", exclude_none=True)
        return (json.dumps(fields, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @property
    def digest(self) -> str:
        """The identity that publishing these very fields gives."""
        return digest(self.encode())

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.bytes for file in self.files.values())
