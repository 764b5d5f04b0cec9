"""Pairs of a picture and a text, one JSON object a line: {"image": "a.jpg", "text": "a red circle"}.

`file_name` and `caption` are understood as well, and `label` where the data has classes. Paths begin at the file's
folder.
"""

from pathlib import Path

from services.finetune.data import documents, fields
from services.finetune.data.documents import Row
from services.finetune.data.examples import Dataset, PairExample
from services.finetune.data.paths import Folder, only
from services.finetune.data.rows import Rows

IMAGE, TEXT = ("image", "file_name"), ("text", "caption")


def read(source: Path) -> Dataset:
    """Read a file, or the one of a folder that ends in .jsonl, as PairExamples. Raises `DataError`."""
    file = only(source, find(source), "files *.jsonl") if source.is_dir() else source
    folder, rows = Folder(file.parent), Rows()
    rows.take(documents.rows(file), lambda row: _pair(row, folder))
    return rows.dataset(file)


def find(folder: Path) -> list[Path]:
    """The files of pairs in a folder."""
    return sorted(folder.glob("*.jsonl"))


def _pair(row: Row, folder: Folder) -> PairExample:
    picture = folder.picture(fields.text(row.fields, *IMAGE))
    label = fields.text(row.fields, "label", most=fields.MAX_LABEL) if row.fields.get("label") is not None else None
    return PairExample(picture, fields.text(row.fields, *TEXT), label, row.place)
