"""Pictures and files for the tests of training data."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from services.finetune.data.examples import Dataset


def png(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    """A picture of one colour, with a corner in another so that it is no uniform field."""
    picture = Image.new("RGB", size, colour)
    picture.paste("black", (0, 0, 5, 5))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def put(path: Path, content: bytes | str | object) -> Path:
    """Write bytes, a text, or anything else as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def pictures(folder: Path, *names: str) -> None:
    """Write a different picture of 40 x 30 pixels for each name."""
    for index, name in enumerate(names):
        put(folder / name, png(f"hsl({index * 40}, 80%, 60%)"))


def lines(path: Path, rows: Sequence[object]) -> Path:
    """Write JSON Lines; a text is a line as it is."""
    return put(path, "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))


def tar(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a tar file with these members, whatever their names are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def problems(found: Dataset) -> list[tuple[str, str]]:
    """Where and what, of each problem."""
    return [(problem.place.at, problem.what) for problem in found.problems]


def coco_file(**changes: Any) -> dict[str, Any]:
    """COCO's object about a.png and b.png, which have a box each."""
    made: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}, {"id": 2, "file_name": "b.png"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "bbox": [4, 5, 10, 12]},
            {"id": 2, "image_id": 2, "category_id": 9, "bbox": [0, 0, 40, 30]},
        ],
        "categories": [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}],
    }
    return made | changes
