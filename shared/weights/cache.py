"""Copies of remote versions on this machine, one directory per digest, which all processes share.

list what lies there -> refuse extra files -> copy into .incoming-… -> verify -> rename to the digest
"""

import shutil
import tempfile
from pathlib import Path

from shared.weights.digest import PREFIX, digest
from shared.weights.errors import RefusedVersion
from shared.weights.manifest import MANIFEST, Manifest
from shared.weights.storage import Storage
from shared.weights.verify import verify


def copy(storage: Storage, path: str, manifest: Manifest, data: bytes, cache: Path) -> Path:
    """The directory in `cache` of the version whose manifest has the bytes `data`; copied from `path` unless there.

    Raises `RefusedVersion` if the remote files are not those of the manifest. A damaged copy is replaced.
    """
    target = cache / digest(data).removeprefix(PREFIX)
    if target.exists() and _sound(target, manifest):
        return target
    if extra := sorted(set(storage.files(path)) - manifest.files.keys() - {MANIFEST}):
        raise RefusedVersion(f"{manifest.model}@{manifest.version}: {extra[0][:120]} is not in the manifest.")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".incoming-") as folder:
        incoming = Path(folder, "version")
        for file in manifest.files:
            storage.copy(f"{path}/{file}", incoming / file)
        (incoming / MANIFEST).write_bytes(data)
        verify(incoming, manifest)
        _take(incoming, target)
    return target


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
