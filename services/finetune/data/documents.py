"""JSON and JSON Lines files, row by row, each with the line where it begins.

lines      one object a line; a broken line is a problem, and the next is read
array      one JSON array of objects
sections   one JSON object of such arrays, as COCO's

Whole JSON files are walked value by value, because the module `json` does not tell where a value stood.
"""

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from services.finetune.data.examples import Place, Problem
from services.finetune.data.fields import Fields
from services.finetune.errors import DataError

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\r\n]*")
_OBJECT = "is not an object. Write the row as {…} with named fields."


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of a row and where they stand."""

    fields: Fields
    place: Place


Rows = Iterator[Row | Problem]


def rows(path: Path) -> Rows:
    """The rows of a JSON array or of JSON Lines, whichever `path` begins as. Raises `DataError`."""
    with _opened(path) as file:
        start = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()
    return array(path) if start.startswith(b"[") else lines(path)


def lines(path: Path) -> Rows:
    """The rows of a JSON Lines file; blank lines are passed over. Raises `DataError` where it cannot be opened."""
    with _opened(path) as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _row(line, Place(path, f"line {number}"))


def array(path: Path) -> Rows:
    """The entries of the JSON array in `path`. Raises `DataError` where it is no JSON or another value."""
    cursor = _Cursor(path)
    if cursor.next() != "[":
        raise DataError(f"{path} is not a JSON array. Write the rows as [ {{…}}, {{…}} ].")
    yield from cursor.entries("")
    cursor.end()


def sections(path: Path, names: Collection[str]) -> dict[str, list[Row | Problem]]:
    """The arrays of the JSON object in `path` that have one of `names`. Raises `DataError`."""
    cursor = _Cursor(path)
    if cursor.next() != "{":
        raise DataError(f"{path} is not a JSON object. COCO's has the arrays {', '.join(names)}.")
    found = {}
    for name in cursor.members():
        if name in names and cursor.next() == "[":
            found[name] = list(cursor.entries(name))
        else:
            cursor.value()
    cursor.end()
    missing = [name for name in names if name not in found]
    if missing:
        raise DataError(f"{path} has no array '{missing[0]}'. COCO's object has {', '.join(names)}.")
    return found


class _Cursor:
    """A position in a JSON text that moves on value by value."""

    def __init__(self, path: Path) -> None:
        self._path, self._at, self._line, self._counted = path, 0, 1, 0
        with _opened(path) as file:
            data = file.read().removeprefix(b"\xef\xbb\xbf")
        try:
            self._text = data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise DataError(f"{path}: line {line}: is not UTF-8. Save the file as UTF-8.") from None

    def next(self) -> str:
        """The next character that is no space, or nothing at the end."""
        match = _SPACE.match(self._text, self._at)
        assert match
        self._at = match.end()
        found: str = self._text[self._at : self._at + 1]
        return found

    def value(self) -> Any:
        """The whole value that comes next."""
        self.next()
        try:
            value, self._at = _DECODER.raw_decode(self._text, self._at)
        except json.JSONDecodeError as error:
            self._at = error.pos
            raise self._malformed() from None
        except RecursionError:
            raise DataError(f"{self._path} is nested too deep. Flatten it.") from None
        except ValueError:  # an integer of thousands of digits
            raise self._malformed() from None
        return value

    def entries(self, name: str) -> Rows:
        """The objects of the array that comes next."""
        self._pass("[")
        number = 0
        while self.next() != "]":
            if number:
                self._pass(",")
            place = self._place(f"{name}[{number}]")
            value = self.value()
            yield Row(value, place) if isinstance(value, dict) else Problem(place, _OBJECT)
            number += 1
        self._pass("]")

    def members(self) -> Iterator[str]:
        """The names of the object that comes next; the caller takes each value."""
        self._pass("{")
        first = True
        while self.next() != "}":
            if not first:
                self._pass(",")
            name = self.value()
            self._pass(":")
            yield str(name)
            first = False
        self._pass("}")

    def end(self) -> None:
        """Refuse what follows the value."""
        if self.next():
            raise self._malformed()

    def _pass(self, character: str) -> None:
        if self.next() != character:
            raise self._malformed()
        self._at += 1

    def _place(self, entry: str) -> Place:
        self.next()
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        # A file of one line has no lines to find a row by.
        return Place(self._path, entry if self._line == 1 else f"line {self._line}, {entry}")

    def _malformed(self) -> DataError:
        line = self._text.count("\n", 0, self._at) + 1
        column = self._at - self._text.rfind("\n", 0, self._at)
        return DataError(f"{self._path}: line {line}, column {column}: is not JSON. Mend what stands there.")


def _row(line: bytes, place: Place) -> Row | Problem:
    try:
        value = json.loads(line.removeprefix(b"\xef\xbb\xbf").rstrip().decode())
    except UnicodeDecodeError as error:
        return Problem(place, f"is not UTF-8 at byte {error.start + 1}. Save the file as UTF-8.")
    except json.JSONDecodeError as error:
        return Problem(place, f"is not JSON at column {error.colno}. Write one object a line.")
    except (RecursionError, ValueError):  # ValueError: an integer of thousands of digits
        return Problem(place, "is nested too deep or has an endless number. Write a plain object.")
    return Row(value, place) if isinstance(value, dict) else Problem(place, _OBJECT)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}). Check its name and its permissions.") from None
