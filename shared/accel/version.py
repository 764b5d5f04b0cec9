"""A version directory as every model reads it: which version this is, and a refusal for a file that is not there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.serving.model import RefusedWeights
from shared.weights.digest import digest
from shared.weights.manifest import MANIFEST, Manifest


def read_manifest(version: Path) -> tuple[Manifest, str]:
    """The manifest, and the digest of its bytes, which is the identity of the version. Raises `RefusedWeights`."""
    try:
        data = (version / MANIFEST).read_bytes()
    except OSError as error:
        raise RefusedWeights(f"The version has no {MANIFEST}.") from error
    return Manifest.parse(data), digest(data)


@contextmanager
def readable() -> Iterator[None]:
    """Refuse a version, in our own words, for a file that cannot be read. Raises `RefusedWeights`."""
    try:
        yield
    except OSError as error:
        raise RefusedWeights(f"A file of the version cannot be read: {Path(error.filename or '').name}.") from error
