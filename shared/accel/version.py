"""The manifest of a version directory, as a model reads it: which version this is."""

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
