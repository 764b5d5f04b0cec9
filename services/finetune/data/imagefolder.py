"""Hugging Face's ImageFolder: objects in metadata.jsonl, or a folder for each class.

metadata.jsonl  {"file_name", "objects": {"bbox": [[left, top, width, height], …], "categories": [name, …]}}
classes         cat/1.jpg, dog/2.jpg -> pairs of a picture and "a photo of a cat"
"""

from pathlib import Path

from services.finetune.data import documents, fields
from services.finetune.data.boxes import Draft, Thing, drawn
from services.finetune.data.documents import Row
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Dataset, PairExample, Place, Source
from services.finetune.data.paths import Folder, hidden
from services.finetune.data.rows import Rows
from services.finetune.errors import DataError

METADATA = "metadata.jsonl"
TEMPLATE = "a photo of a {}"


def read(source: Path) -> Dataset:
    """Read a metadata file, or the one of a folder, as DetectionExamples. Raises `DataError`."""
    file = source / METADATA if source.is_dir() else source
    folder, rows = Folder(file.parent), Rows()
    rows.take(documents.rows(file), lambda row: _draft(row, folder))
    return rows.dataset(file)


def read_classes(source: Path, template: str = TEMPLATE) -> Dataset:
    """Read a folder of folders as PairExamples; {} of `template` stands for the class. Raises `DataError`."""
    if template.count("{}") != 1:
        raise DataError(f"the template '{template}' must have {{}} once, in place of the class.")
    folder, rows = Folder(source), Rows()
    for own in class_folders(source):
        pictures = sorted(path for path in own.iterdir() if not hidden(path))
        if not pictures:
            rows.blame(Place(own), "is a class without pictures. Add some, or remove the folder.")
        for path in pictures:
            try:
                rows.found.append(_pair(path, folder, template))
            except BrokenRow as fault:
                rows.blame(Place(path), fault)
    loose = sum(path.is_file() and not hidden(path) for path in source.iterdir())
    if loose:
        rows.notes.append(f"{loose} files beside the folders of the classes are not read.")
    return rows.dataset(source)


def class_folders(source: Path) -> list[Path]:
    """The folders in a folder."""
    return sorted(path for path in source.iterdir() if path.is_dir() and not hidden(path))


def _draft(row: Row, folder: Folder) -> Draft:
    picture = folder.picture(fields.text(row.fields, "file_name", "image"))
    _, objects = fields.named(row.fields, "objects")
    if not isinstance(objects, dict):
        raise fields.wrong_type(objects, "objects", 'an object like {"bbox": […], "categories": […]}')
    boxes, names = fields.listed(objects, "bbox"), fields.listed(objects, "categories", "category")
    if len(boxes) != len(names):
        raise BrokenRow(f"'objects' has {len(boxes)} boxes and {len(names)} categories. Give each box its category.")
    things = [
        Thing(drawn(box, f"objects.bbox[{index}]"), _label(name), None, row.place)
        for index, (box, name) in enumerate(zip(boxes, names, strict=True))
    ]
    return Draft(picture, fields.size(row.fields), tuple(things), row.place)


def _label(name: object) -> str:
    if isinstance(name, int):
        raise BrokenRow("'objects.categories' has a number. Write the name of the class.")
    return fields.checked_text(name, "objects.categories", most=fields.MAX_LABEL)


def _pair(path: Path, folder: Folder, template: str) -> PairExample:
    if path.is_dir():
        raise BrokenRow("is a folder inside a class. Move its pictures up into the class.")
    folder.require_inside(path)
    label = fields.checked_text(path.parent.name, "class", most=fields.MAX_LABEL)
    return PairExample(Source(path), template.replace("{}", label.replace("_", " ")), label, Place(path))
