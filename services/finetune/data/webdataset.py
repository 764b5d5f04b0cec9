"""WebDataset: tar files whose members of one name are one row, such as 000001.jpg with 000001.txt or 000001.json.

shard -> members by key (all before the first dot of the name) -> picture + text -> PairExample

Pictures stay in the tar file and are read from where they begin, so shards must not be compressed.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from services.finetune.data import fields
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Dataset, PairExample, Place, Source
from services.finetune.data.paths import PICTURES, leads_out
from services.finetune.data.rows import Rows
from services.finetune.errors import DataError

TEXTS = frozenset({".txt", ".json"})
MAX_TEXT_BYTES = 1_000_000
_DAMAGED = (tarfile.TarError, ValueError, OverflowError)  # what the module raises on headers that make no sense

Sample = dict[str, tarfile.TarInfo]  # by extension


def read(source: Path) -> Dataset:
    """Read a shard, or all of a folder, as PairExamples. Raises `DataError`."""
    rows = Rows()
    for shard in find(source) if source.is_dir() else [source]:
        _read_shard(shard, rows)
    return rows.dataset(source)


def find(folder: Path) -> list[Path]:
    """The shards of a folder."""
    return sorted(folder.glob("*.tar"))


def _read_shard(shard: Path, rows: Rows) -> None:
    try:
        with tarfile.open(shard, "r:") as tar:
            for key, sample in _samples(tar, shard, rows).items():
                place = Place(shard, key)
                try:
                    rows.found.append(_pair(tar, sample, place))
                except BrokenRow as fault:
                    rows.blame(place, fault)
    except _DAMAGED:
        rows.blame(Place(shard), "is damaged, cut off, or compressed. Make it again with plain tar.")
    except OSError as error:
        raise DataError(f"{shard} cannot be read ({error.strerror}). Check its permissions.") from None


def _samples(tar: tarfile.TarFile, shard: Path, rows: Rows) -> dict[str, Sample]:
    """The members of each key; without those of which a member could lead out of the tar file, or comes twice."""
    samples: dict[str, Sample] = {}
    refused = set()
    for member in _members(tar, shard, rows):
        path = PurePosixPath(member.name)
        if member.isdir() or path.name.startswith("."):
            continue
        stem, _, extension = path.name.partition(".")
        key, suffix = str(path.with_name(stem)), f".{extension.lower()}"
        sample = samples.setdefault(key, {})
        try:
            _require_plain(member, sample, suffix)
        except BrokenRow as fault:
            refused.add(key)
            rows.blame(Place(shard, member.name), fault)
        else:
            sample[suffix] = member
    return {key: sample for key, sample in samples.items() if key not in refused}


def _members(tar: tarfile.TarFile, shard: Path, rows: Rows) -> Iterator[tarfile.TarInfo]:
    """All members up to where the tar file is damaged, so that one bad block does not hide the rows before it."""
    try:
        yield from tar
    except _DAMAGED:
        rows.blame(Place(shard), "is damaged or cut off after its last member. Make it again.")


def _require_plain(member: tarfile.TarInfo, sample: Sample, extension: str) -> None:
    if leads_out(member.name):
        raise BrokenRow("is a path that leads out of the tar file. Pack it with relative paths.")
    if not member.isreg() or member.issparse():
        raise BrokenRow("is a link or a device. Pack the file itself.")
    if extension in sample:
        raise BrokenRow("is in the tar file twice. Give each sample its own name.")


def _pair(tar: tarfile.TarFile, sample: Sample, place: Place) -> PairExample:
    drawn = [member for extension, member in sample.items() if extension in PICTURES]
    written = [extension for extension in sample if extension in TEXTS]
    if len(drawn) != 1:
        raise BrokenRow(f"has {len(drawn) or 'no'} pictures. Pack one (.jpg, .png, .webp …) beside each text.")
    if not written:
        raise BrokenRow("has no text. Pack a .txt, or a .json with 'text', beside the picture.")
    (member,), extension = drawn, min(written, key=[".txt", ".json"].index)
    picture = Source(place.file, member.name, member.offset_data, member.size)
    return PairExample(picture, _text(tar, sample[extension], extension), None, place)


def _text(tar: tarfile.TarFile, member: tarfile.TarInfo, extension: str) -> str:
    if member.size > MAX_TEXT_BYTES:
        raise BrokenRow(f"the {extension} file has {member.size:,} bytes. Shorten the text.")
    file = tar.extractfile(member)
    assert file  # members are plain files here
    try:
        text = file.read().decode()
        if extension == ".txt":
            return fields.checked_text(text.strip(), "text", most=fields.MAX_TEXT)
        found = json.loads(text)
    except UnicodeDecodeError:
        raise BrokenRow(f"the {extension} file is not UTF-8. Save it as UTF-8.") from None
    except (ValueError, RecursionError):
        raise BrokenRow("the .json file is not JSON. Write an object with 'text'.") from None
    if not isinstance(found, dict):
        raise fields.wrong_type(found, ".json", "an object with 'text'")
    return fields.text(found, "text", "caption")
