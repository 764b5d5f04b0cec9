"""COCO's detection data: one JSON object with images, annotations and categories (cocodataset.org/#format-data).

find the file -> categories -> images -> annotations, each added to its image -> pictures looked at

A picture with a broken annotation is left out as a whole: learnt without it, the object would count as background.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path

from services.finetune.data import documents, fields
from services.finetune.data.boxes import Draft, Thing, drawn
from services.finetune.data.documents import Row
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Dataset, Place, Source
from services.finetune.data.paths import Folder, only
from services.finetune.data.rows import Rows

PATTERNS = ("annotations.json", "_annotations.coco.json", "instances_*.json", "annotations/instances_*.json")
SECTIONS = ("categories", "images", "annotations")

Id = int | str


def read(source: Path) -> Dataset:
    """Read a file, or a folder with one of `PATTERNS`, as DetectionExamples. Raises `DataError`."""
    file = only(source, find(source), "COCO files") if source.is_dir() else source
    sections = documents.sections(file, SECTIONS)
    reader = _Reader(_folder(file))
    for name, read_row in zip(SECTIONS, (reader.category, reader.image, reader.annotation), strict=True):
        reader.rows.take(sections[name], read_row)
    return reader.finish().dataset(file)


def find(folder: Path) -> list[Path]:
    """The annotation files of a folder."""
    return sorted({file for pattern in PATTERNS for file in folder.glob(pattern)})


def _folder(file: Path) -> Folder:
    """Where the pictures are: beside the file, in images/, or in COCO's own folder of the split."""
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    return Folder(root, "images", file.stem.removeprefix("instances_"))


@dataclass
class _Image:
    """An entry of `images`, and its objects so far; unsound once one of them was broken."""

    picture: Source
    size: tuple[int, int] | None
    place: Place
    things: list[Thing] = field(default_factory=list)
    sound: bool = True


class _Reader:
    """What was read so far; an image that is None was broken, and is told already."""

    def __init__(self, folder: Folder) -> None:
        self.rows = Rows()
        self._folder = folder
        self._names: dict[Id, str] = {}
        self._images: dict[Id, _Image | None] = {}
        self._ids: set[Id] = set()
        self._crowds = 0

    def category(self, row: Row) -> None:
        """Take an entry of `categories`."""
        number, name = fields.identifier(row.fields, "id"), fields.text(row.fields, "name", most=fields.MAX_LABEL)
        _require_new(number, self._names)
        if name in self._names.values():
            raise BrokenRow(f"the name '{name}' is given to two categories. Rename one, or merge them.")
        self._names[number] = name

    def image(self, row: Row) -> None:
        """Take an entry of `images`."""
        number = fields.identifier(row.fields, "id")
        _require_new(number, self._images)
        self._images[number] = None
        picture = self._folder.picture(fields.text(row.fields, "file_name"))
        self._images[number] = _Image(picture, fields.size(row.fields), row.place)

    def annotation(self, row: Row) -> None:
        """Take an entry of `annotations`; a crowd, which is no single object, is only counted."""
        number = fields.identifier(row.fields, "image_id")
        if number not in self._images:
            raise BrokenRow(f"'image_id' {number!r} is none of the images. Correct it, or add the image.")
        image = self._images[number]
        if image is None:
            return
        try:
            if _is_crowd(row):
                self._crowds += 1
            else:
                image.things.append(self._thing(row))
        except BrokenRow:
            image.sound = False
            raise

    def finish(self) -> Rows:
        """The rows that are sound so far."""
        images = [image for image in self._images.values() if image and image.sound]
        self.rows.found += [Draft(image.picture, image.size, tuple(image.things), image.place) for image in images]
        shown = {thing.label for image in images for thing in image.things}
        unseen = [name for name in self._names.values() if name not in shown]
        if unseen:
            self.rows.notes.append(f"no object is of {', '.join(unseen)}: these classes are not learnt.")
        if self._crowds:
            self.rows.notes.append(f"{self._crowds} crowds (iscrowd 1) are left out: they are no single objects.")
        return self.rows

    def _thing(self, row: Row) -> Thing:
        if "id" in row.fields:
            number = fields.identifier(row.fields, "id")
            _require_new(number, self._ids)
            self._ids.add(number)
        category = fields.identifier(row.fields, "category_id")
        if category not in self._names:
            raise BrokenRow(f"'category_id' {category!r} is none of the categories. Correct it, or add the category.")
        _, box = fields.named(row.fields, "bbox")
        mask = row.fields.get("segmentation")
        return Thing(drawn(box, "bbox"), self._names[category], None if mask == [] else mask, row.place)


def _require_new(number: Id, known: Container[Id]) -> None:
    if number in known:
        raise BrokenRow(f"'id' {number!r} is given twice. Give each entry its own.")


def _is_crowd(row: Row) -> bool:
    crowd = row.fields.get("iscrowd", 0)
    if crowd not in (0, 1):  # a list may stand there, which no set can be asked for
        raise BrokenRow("'iscrowd' must be 0 or 1. Correct it.")
    return bool(crowd)
