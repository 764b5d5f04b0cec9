"""A store on a local disk, or on a mounted one that knows `flock` and hard links (ext4, xfs, NFS 4).

    place    lock the model -> clear what dead publishers left -> copy into .incoming-…, flush, verify -> rename
    create   write a hidden file and flush -> link it to its name, which fails if the name is taken

Whatever moment the process dies at, a reader finds the version complete or not at all.
"""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from shared.weights.manifest import MANIFEST, Manifest
from shared.weights.storage import Storage
from shared.weights.verify import verify

INCOMING = ".incoming-"


class LocalStorage(Storage):
    """A store whose versions are directories on this machine: verified and read in place."""

    def directory(self, path: str) -> Path | None:
        """The directory at `path`."""
        return Path(self._full(path))

    def create(self, path: str, data: bytes) -> None:
        """Write a small file in one step. Raises `FileExistsError` if there is one."""
        target = Path(self._full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, prefix=".new-") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)  # temporary files begin as 0600; the services may be other users
            os.fsync(file.fileno())
            os.link(file.name, target)
        _sync(target.parent)

    def place(self, path: str, source: Path, manifest: Manifest, data: bytes) -> None:
        """Make the files of `source` the version at `path`, with `data` as the bytes of its manifest.

        Raises `FileExistsError` if there is one, and `RefusedVersion` if the source changes meanwhile.
        """
        target = Path(self._full(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with _lock(target.parent / ".lock"):
            for left in target.parent.glob(f"{INCOMING}*"):  # whoever holds the lock is the only one alive
                shutil.rmtree(left)
            if target.exists():
                raise FileExistsError(path)
            incoming = Path(tempfile.mkdtemp(dir=target.parent, prefix=INCOMING))
            try:
                _fill(incoming, source, manifest, data)
                verify(incoming, manifest)
                incoming.rename(target)
            except BaseException:
                shutil.rmtree(incoming, ignore_errors=True)
                raise
            _sync(target.parent)


def _fill(directory: Path, source: Path, manifest: Manifest, data: bytes) -> None:
    """Copy everything and flush it, so that after a power cut too the rename finds the bytes that it names."""
    directory.chmod(0o755)
    for file in manifest.files:
        target = directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / file, target, follow_symlinks=False)
        _sync(target)
    (directory / MANIFEST).write_bytes(data)
    _sync(directory / MANIFEST)
    for folder, _, _ in os.walk(directory):
        _sync(Path(folder))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Hold a lock file that goes away with its last holder, and with the process if it dies."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        os.close(descriptor)  # the holder before us removed this very file: lock the new one
    try:
        yield
    finally:
        path.unlink()
        os.close(descriptor)
