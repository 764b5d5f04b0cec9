"""Where a store's bytes lie: any file system that fsspec opens. Paths are relative to the store, with '/'.

What every file system gives: `create` writes a small file only if there is none, in one step.
What `place` gives: readers see all of a version or nothing of it, since it begins to exist with its manifest.

Local disks (`shared/weights/local.py`) publish a whole directory in one rename. Elsewhere the files go first and the
manifest last. No file is ever overwritten, and all publishers go through the names in one order: of two that publish
one id at the same moment, who comes second to the first file that differs stops there. What a dead one left is taken
over by who brings the same bytes, and refused to others.
"""

import contextlib
import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from shared.weights.errors import StoreError
from shared.weights.manifest import MANIFEST, Manifest
from shared.weights.verify import verify

PROBE = "claims/probe"


class Storage:
    """A store's file system, by what fsspec promises for all of them."""

    def __init__(self, fs: Any, root: str) -> None:
        self.fs, self.root = fs, root.rstrip("/")

    def directory(self, path: str) -> Path | None:
        """The local directory at `path`, or None where files must be fetched before they are read."""
        return None

    def names(self, path: str) -> list[str]:
        """What lies directly in `path`, sorted; hidden names are work in progress and left out."""
        try:
            entries = self.fs.ls(self._full(path), detail=False)
        except FileNotFoundError:
            return []
        return self._visible(entries)

    def read(self, path: str, limit: int) -> bytes:
        """The bytes of a small file. Raises `FileNotFoundError`, and `StoreError` over `limit` bytes."""
        with self.fs.open(self._full(path), "rb") as file:
            data: bytes = file.read(limit + 1)
        if len(data) > limit:
            raise StoreError(f"{path} is longer than {limit} bytes and cannot be what its name says.")
        return data

    def exists(self, path: str) -> bool:
        """Whether there is a file at `path`."""
        return bool(self.fs.exists(self._full(path)))

    def create(self, path: str, data: bytes) -> None:
        """Write a small file in one step. Raises `FileExistsError` if there is one."""
        self.fs.pipe_file(self._with_parent(path), data, mode="create")

    def place(self, path: str, source: Path, manifest: Manifest, data: bytes) -> None:
        """Make the files of `source` the version at `path`, with `data` as the bytes of its manifest.

        Raises `FileExistsError` if there is one, or one with other files is on its way, and `RefusedVersion` if the
        source changes meanwhile.
        """
        if self.exists(f"{path}/{MANIFEST}"):
            raise FileExistsError(path)
        for file in sorted(manifest.files):
            self._put(source / file, f"{path}/{file}", manifest.files[file].sha256)
        verify(source, manifest)
        self.create(f"{path}/{MANIFEST}", data)

    def grants_once(self) -> bool:
        """Whether a name that is taken is refused, on which all else here is built; asked with a file of no meaning."""
        with contextlib.suppress(FileExistsError):
            self.create(PROBE, b"there")
        try:
            self.create(PROBE, uuid.uuid4().bytes)
        except FileExistsError:
            return True
        return False

    def copy(self, path: str, target: Path) -> None:
        """Bring one file to the local path `target`."""
        target.parent.mkdir(parents=True, exist_ok=True)
        self.fs.get_file(self._full(path), str(target))

    def sha256(self, path: str) -> str:
        """The SHA-256 of a file's bytes."""
        with self.fs.open(self._full(path), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def _put(self, source: Path, path: str, sha256: str) -> None:
        """Put a file there, unless its very bytes are there. Raises `FileExistsError` where others are.

        Nobody removes what it put: another publisher may count on it by now.
        """
        try:
            self._upload(source, path, sha256)
        except FileExistsError:
            if not self.exists(path) or self.sha256(path) != sha256:
                raise

    def _upload(self, source: Path, path: str, sha256: str) -> None:
        self.fs.put_file(str(source), self._with_parent(path), mode="create")

    @staticmethod
    def _visible(entries: Iterable[object]) -> list[str]:
        names = {str(entry).rstrip("/").rsplit("/", 1)[-1] for entry in entries}
        return sorted(name for name in names if not name.startswith("."))

    def _with_parent(self, path: str) -> str:
        full = self._full(path)
        self.fs.makedirs(full.rsplit("/", 1)[0], exist_ok=True)
        return full

    def _full(self, path: str) -> str:
        return f"{self.root}/{path}" if path else self.root
