"""Copies of remote versions on this machine, one directory per digest, which all processes share.

bring     there and sound? -> use it      else copy into .incoming-… -> verify -> rename to the digest -> tidy
remember  which digest a service began with, so that it can begin again while the store is away
tidy      of each model the versions used last stay, and those that a service began with; others go

A copy in use may go: what is read is read to the end within minutes, and nothing that young is touched.
"""

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from shared.weights.digest import PREFIX, digest, file_sha256
from shared.weights.errors import RefusedVersion
from shared.weights.manifest import MANIFEST, Manifest
from shared.weights.storage import Storage
from shared.weights.verify import verify

INCOMING = ".incoming-"
BEGUN = ".begun"  # the folder of what services began with
STAY = 3  # versions of a model: champion, previous, candidate
YOUNG_S = 3600.0


class Cache:
    """The copies in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def bring(self, storage: Storage, path: str, manifest: Manifest, data: bytes) -> Path:
        """The directory of the version whose manifest has the bytes `data`; copied from `path` unless it is here.

        Raises `RefusedVersion` if the remote files are not those of the manifest. A damaged copy is replaced.
        """
        target = self._folder / digest(data).removeprefix(PREFIX)
        if not (target.exists() and _sound(target, manifest)):
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self._folder, prefix=INCOMING) as folder:
                incoming = Path(folder, "version")
                for file, wanted in manifest.files.items():
                    _copy(storage, f"{path}/{file}", incoming / file, wanted.sha256)
                (incoming / MANIFEST).write_bytes(data)
                verify(incoming, manifest)
                _take(incoming, target)
        os.utime(target)  # its last use
        self._tidy(target)
        return target

    def remember(self, key: str, identity: str) -> None:
        """Note that `key` means the version of the digest `identity`."""
        note = self._note(key)
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, prefix=".new-", delete=False) as file:
            file.write(identity)
        Path(file.name).replace(note)

    def recall(self, key: str) -> tuple[Path, Manifest] | None:
        """The sound copy of what `key` meant last, and its manifest; None where there is none."""
        try:
            identity = self._note(key).read_text()
            directory = self._folder / identity.removeprefix(PREFIX)
            data = (directory / MANIFEST).read_bytes()
        except FileNotFoundError:
            return None
        if digest(data) != identity:
            return None
        manifest = Manifest.parse(data)
        return (directory, manifest) if _sound(directory, manifest) else None

    def _note(self, key: str) -> Path:
        return self._folder / BEGUN / digest(key.encode()).removeprefix(PREFIX)

    def _tidy(self, used: Path) -> None:
        """Remove what was not used for long, beyond the last few of each model."""
        begun = {note.read_text().removeprefix(PREFIX) for note in (self._folder / BEGUN).glob("[!.]*")}
        seen: dict[str, int] = {}
        for copy in sorted(self._copies(), key=_age):
            if copy.name.startswith(INCOMING):
                stays = False
            else:
                model = Manifest.parse((copy / MANIFEST).read_bytes()).model
                seen[model] = seen.get(model, 0) + 1
                stays = seen[model] <= STAY or copy.name in begun or copy == used
            if not stays and _age(copy) > YOUNG_S:
                shutil.rmtree(copy, ignore_errors=True)

    def _copies(self) -> Iterator[Path]:
        yield from self._folder.glob(f"{INCOMING}*")
        yield from (manifest.parent for manifest in self._folder.glob(f"[!.]*/{MANIFEST}"))


def _age(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return time.time() - path.stat().st_mtime
    return 0.0  # another process has removed it


def _copy(storage: Storage, path: str, target: Path, sha256: str) -> None:
    """Copy one file, and once more if what came is not what was sent; `verify` has the last word."""
    try:
        storage.copy(path, target)
        if file_sha256(target) != sha256:
            storage.copy(path, target)
    except FileNotFoundError as error:
        raise RefusedVersion(f"{path} is missing.") from error


def _sound(directory: Path, manifest: Manifest) -> bool:
    try:
        verify(directory, manifest)
    except RefusedVersion:
        shutil.rmtree(directory, ignore_errors=True)
        return False
    return True


def _take(incoming: Path, target: Path) -> None:
    try:
        incoming.rename(target)
    except OSError:
        if not target.exists():
            raise  # otherwise another process brought the same bytes first
