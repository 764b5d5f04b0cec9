"""A version that is not published yet, as its service reads it: with a manifest, beside which its files are links."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from shared.weights.manifest import MANIFEST, Card, Made, Manifest
from shared.weights.verify import survey


@contextmanager
def with_manifest(version: Path, model: str) -> Iterator[Path]:
    """The version itself if it has a manifest, else a passing folder with its files and one."""
    if (version / MANIFEST).exists():
        yield version
        return
    with TemporaryDirectory(prefix="ocelli-draft-") as name:
        folder = Path(name)
        for file in version.iterdir():
            (folder / file.name).symlink_to(file.resolve())
        card = Card(model=model, version="draft", made=Made(by="ocelli finetune"))
        (folder / MANIFEST).write_bytes(Manifest.of(card, survey(version)).encode())
        yield folder
