"""Whether a directory holds exactly what its manifest says. Nothing is read as weights before this.

survey(directory)             every regular file of allowed kind: path -> size and SHA-256
verify(directory, manifest)   the same files, the same sizes, the same bytes, and sound safetensors headers
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from shared.weights.digest import file_sha256
from shared.weights.errors import RefusedVersion
from shared.weights.manifest import MANIFEST, File, Manifest, file_path
from shared.weights.tensors import tensors


def survey(directory: Path) -> dict[str, File]:
    """Size and SHA-256 of each file below `directory`. Raises `RefusedVersion` for what no version may hold."""
    return {path: _measure(directory / path) for path in sorted(_paths(directory))}


def verify(directory: Path, manifest: Manifest) -> None:
    """Raise `RefusedVersion` unless `directory` holds the files of `manifest`, bit by bit, and nothing else."""
    where = f"{manifest.model}@{manifest.version}"
    if directory.is_symlink():
        raise RefusedVersion(f"{where} is a link; a version lies in the store itself.")
    found = set(_paths(directory, besides=MANIFEST))
    if missing := sorted(manifest.files.keys() - found):
        raise RefusedVersion(f"{where}: {missing[0]} is missing.")
    if extra := sorted(found - manifest.files.keys()):
        raise RefusedVersion(f"{where}: {extra[0]} is not in the manifest.")
    for path, file in manifest.files.items():
        size = (directory / path).stat().st_size
        if size != file.bytes:  # told without reading what may be gigabytes
            raise RefusedVersion(f"{where}: {path} has {size} bytes; the manifest says {file.bytes}.")
    for path, file in manifest.files.items():
        if _measure(directory / path) != file:
            raise RefusedVersion(f"{where}: the bytes of {path} are not those that were published.")


def _measure(path: Path) -> File:
    if path.suffix == ".safetensors":
        tensors(path)
    return File(sha256=file_sha256(path), bytes=path.stat().st_size)


def _paths(directory: Path, *, besides: str = "") -> Iterator[str]:
    """The relative path of each file, having refused links, devices, hidden files and kinds that may carry code."""
    for folder, folders, files in os.walk(directory, onerror=_raise):
        for name in (*folders, *files):
            path = Path(folder, name)
            relative = path.relative_to(directory).as_posix()
            mode = path.lstat().st_mode
            if stat.S_ISDIR(mode) or (relative == besides and stat.S_ISREG(mode)):
                continue
            if not stat.S_ISREG(mode):
                raise RefusedVersion(f"{relative} is a link or a device; a version holds plain files only.")
            try:
                yield file_path(relative)
            except ValueError as error:
                raise RefusedVersion(str(error)) from error


def _raise(error: OSError) -> None:
    raise error
