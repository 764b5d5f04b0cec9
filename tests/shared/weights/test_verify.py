"""Nothing is read as weights unless it is, bit by bit, what was published."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.serving.model import RefusedWeights
from shared.weights.errors import RefusedVersion
from shared.weights.manifest import MANIFEST
from shared.weights.store import Store
from shared.weights.verify import survey

WEIGHTS = "model.safetensors"


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def bits(folder: Path) -> int:
    return 8 * (folder / WEIGHTS).stat().st_size


def cut(folder: Path) -> None:
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(file.seek(0, 2) - 1)


def extend(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0")


def swap_blobs(folder: Path) -> None:
    (folder / "config.json").rename(folder / "tmp")
    (folder / "golden/0.png").rename(folder / "config.json")
    (folder / "tmp").rename(folder / "golden/0.png")


def link(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder.parent.parent / WEIGHTS)
    (folder / WEIGHTS).symlink_to(folder.parent.parent / WEIGHTS)


def link_folder(folder: Path) -> None:
    (folder / "golden").rename(folder.parent.parent / "golden")
    (folder / "golden").symlink_to(folder.parent.parent / "golden")


def link_version(folder: Path) -> None:
    folder.rename(folder.parent.parent / "moved")
    folder.symlink_to(folder.parent.parent / "moved")


DIFFERENT, KIND = "are not those that were published", "is of a kind that is never loaded"
TAMPERING: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit of a tensor": (
        lambda folder: flip(folder / WEIGHTS, 8 * (folder / WEIGHTS).stat().st_size - 5),
        DIFFERENT,
    ),
    "one byte cut off": (cut, "bytes; the manifest says"),
    "one byte added": (extend, "bytes; the manifest says"),
    "two files swapped": (swap_blobs, "bytes; the manifest says"),
    "a file removed": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
    "an extra file": (lambda folder: (folder / "extra.json").write_text("{}"), "extra.json is not in the manifest"),
    "an extra module": (lambda folder: (folder / "model.py").write_text("import os"), KIND),
    "an extra pickle": (lambda folder: (folder / "model.pkl").write_bytes(b"\x80\x04."), KIND),
    "a hidden file": (lambda folder: (folder / ".x").write_text(""), "no hidden files"),
    "a link to the same bytes": (link, "is a link or a device"),
    "a link to a folder": (link_folder, "is a link or a device"),
    "the version is a link": (link_version, "is a link; a version lies in the store"),
    "a pipe": (lambda folder: os.mkfifo(folder / "x.json"), "is a link or a device"),
    "a second manifest": (lambda folder: shutil.copy(folder / MANIFEST, folder / "golden"), "not in the manifest"),
}


@pytest.mark.parametrize(("tamper", "sentence"), TAMPERING.values(), ids=TAMPERING.keys())
def test_a_version_that_was_tampered_with_is_refused(
    tamper: Callable[[Path], object], sentence: str, store: Store, publish: Callable[..., str], tmp_path: Path
) -> None:
    publish()
    version = store.fetch("clip@v1", tmp_path / "cache")
    tamper(version.path)
    with pytest.raises(RefusedWeights, match=sentence):
        store.fetch("clip@v1", tmp_path / "cache")


def test_a_flipped_bit_is_found_wherever_it_is(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    publish()
    folder = store.fetch("clip@v1", tmp_path).path
    names, refused = [*store.manifest("clip", "v1").files], 0
    chance = random.Random(7)
    for _ in range(200):
        path = folder / chance.choice(names)
        bit = chance.randrange(8 * path.stat().st_size)
        flip(path, bit)
        try:
            store.fetch("clip@v1", tmp_path)
        except RefusedVersion:
            refused += 1
        flip(path, bit)
    assert refused == 200
    assert store.fetch("clip@v1", tmp_path).path == folder


def test_the_manifest_itself_is_pinned_by_the_alias(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    publish()
    store.move_alias("clip", "champion", "v1", expected=None)
    folder = store.fetch("clip", tmp_path).path
    (folder / "config.json").write_text('{"labels": ["circle"]}')
    honest = store.manifest("clip", "v1")
    (folder / MANIFEST).unlink()
    forged = honest.model_copy(update={"files": survey(folder)})
    (folder / MANIFEST).write_bytes(forged.encode())
    with pytest.raises(RefusedVersion, match="manifest changed"):
        store.fetch("clip@champion", tmp_path)


def test_the_manifest_of_another_version_is_refused(store: Store, publish: Callable[..., str], tmp_path: Path) -> None:
    publish("v1"), publish("v2")
    folder = store.fetch("clip@v1", tmp_path).path
    shutil.rmtree(folder)
    shutil.copytree(folder.parent / "v2", folder)
    with pytest.raises(RefusedVersion, match="holds the manifest of clip@v2"):
        store.fetch("clip@v1", tmp_path)
