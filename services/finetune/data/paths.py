"""From the name of a picture in a row to the file: below the data set's folder, and nowhere else."""

import re
from pathlib import Path, PurePosixPath

from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import Source
from services.finetune.errors import DataError

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


class Folder:
    """A data set's folder; pictures stand in it or in one of its `places`."""

    def __init__(self, root: Path, *places: str) -> None:
        self.root = root
        self._real = root.resolve()
        self._places = ("", *places)

    def picture(self, name: str) -> Source:
        """The file of that name. Raises `BrokenRow` where it is missing or outside the folder."""
        if re.match(r"[a-z][a-z0-9+.-]*://|data:", name, re.IGNORECASE):
            raise BrokenRow("the picture is an address. Download it, and write the path of the file.")
        if leads_out(name):
            raise BrokenRow(f"the path '{name}' leads out of the data set's folder. Write a path from that folder.")
        for place in self._places:
            path = self.root / place / name
            if _is_file(path):
                self.require_inside(path)
                return Source(path)
        hint = "Write / between folders." if "\\" in name else "Correct the path, or add the file."
        raise BrokenRow(f"the picture '{name}' is not there. {hint}")

    def require_inside(self, path: Path) -> None:
        """Raise `BrokenRow` where a link of `path` points out of the folder."""
        if not path.resolve().is_relative_to(self._real):
            raise BrokenRow(f"'{path.name}' is a link that leads out of the data set's folder. Copy the file there.")


def leads_out(name: str) -> bool:
    """Whether a path is absolute or climbs."""
    return PurePosixPath(name).is_absolute() or re.match(r"[A-Za-z]:|\\", name) is not None or ".." in _parts(name)


def only(folder: Path, files: list[Path], what: str) -> Path:
    """The one file of its kind in `folder`. Raises `DataError`."""
    if len(files) == 1:
        return files[0]
    names = ", ".join(str(file.relative_to(folder)) for file in files[:5])
    raise DataError(f"{folder} has {len(files)} {what} ({names or 'none'}). Name the one to read.")


def hidden(path: Path) -> bool:
    """Whether a file or folder is none of the data: `.DS_Store`, `.git`."""
    return path.name.startswith(".")


def _parts(name: str) -> list[str]:
    return re.split(r"[/\\]", name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file system takes
        return False
