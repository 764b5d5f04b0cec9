"""SHA-256 of bytes and of files, written as `sha256:<hex>` wherever a digest is an identity."""

import hashlib
from pathlib import Path

PREFIX = "sha256:"
SHORT = 12  # hex digits a person compares; 48 bits are ample among the versions of one store


def digest(data: bytes) -> str:
    """The identity of `data`, as `sha256:<64 hex digits>`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def file_sha256(path: Path) -> str:
    """The 64 hex digits of a file's SHA-256, read in chunks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short(identity: str) -> str:
    """The first digits of a digest, for tables and log lines."""
    return identity[: len(PREFIX) + SHORT]
