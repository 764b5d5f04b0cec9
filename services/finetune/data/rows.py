"""What a format's reader has found, and the last part of reading: rows -> Dataset.

every picture is decoded once -> boxes and masks are held against it -> what was there before is a duplicate
    -> statistics and hash of the sound rows
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from services.finetune.data import documents
from services.finetune.data.boxes import Draft
from services.finetune.data.content import content, dataset_sha256
from services.finetune.data.errors import BrokenRow
from services.finetune.data.examples import (
    ChatExample,
    Dataset,
    DetectionExample,
    Example,
    Look,
    PairExample,
    Place,
    Problem,
    Source,
    Turn,
    pictures,
)
from services.finetune.data.looking import look_at_all
from services.finetune.data.statistics import statistics
from services.finetune.errors import DataError

Unseen = Draft | PairExample | ChatExample


@dataclass
class Rows:
    """The rows whose words are sound, what is wrong with the others, and what is worth knowing."""

    found: list[Unseen] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def take(self, rows: Iterable[documents.Row | Problem], read: Callable[[documents.Row], Unseen | None]) -> None:
        """Read every row; one that is broken is a problem, and the next is read."""
        for row in rows:
            if isinstance(row, Problem):
                self.problems.append(row)
                continue
            try:
                made = read(row)
            except BrokenRow as fault:
                self.blame(row.place, fault)
            else:
                self.found += [made] if made else []

    def blame(self, place: Place, what: BrokenRow | str) -> None:
        """Note what is wrong at `place`."""
        self.problems.append(Problem(place, str(what)))

    def dataset(self, source: object) -> Dataset:
        """Look at the pictures and finish. Raises `DataError` where `source` has no row at all."""
        if not self.found and not self.problems:
            raise DataError(f"{source} has no rows. Add some, or name another file.")
        half = sum(row.half_masked for row in self.found if isinstance(row, Draft))
        if half:
            self.notes.append(f"{half} pictures are learnt without masks, since some of their objects have none.")
        looks = look_at_all(picture for row in self.found for picture in _pictures(row))
        sound = self._distinct(example for row in self.found if (example := self._seen(row, looks)))
        return Dataset(
            examples=tuple(sound),
            problems=tuple(sorted(self.problems, key=_natural)),
            sha256=dataset_sha256(sound),
            statistics=statistics(sound),
            notes=tuple(self.notes),
        )

    def _seen(self, row: Unseen, looks: Mapping[Source, Look | BrokenRow]) -> Example | None:
        """The row as an example whose pictures were seen; None where one of them, or a box, is broken."""
        faults = [found for picture in _pictures(row) if isinstance(found := looks[picture], BrokenRow)]
        for fault in dict.fromkeys(map(str, faults)):
            self.blame(row.place, fault)
        if faults:
            return None
        if not isinstance(row, Draft):
            return _with_looks(row, looks)
        picture = _known(row.picture, looks)
        assert picture.look
        made = row.fit(picture, picture.look.size)
        if isinstance(made, DetectionExample):
            return made
        self.problems += made
        return None

    def _distinct(self, examples: Iterable[Example]) -> list[Example]:
        first: dict[object, Place] = {}
        kept = []
        for example in examples:
            before = first.setdefault(_sameness(example), example.place)
            if before is example.place:
                kept.append(example)
            else:
                what = "picture" if _is_told_by_picture(example) else "content"
                self.blame(example.place, f"has the same {what} as {before}. Keep one of them.")
        return kept


def _pictures(row: Unseen) -> tuple[Source, ...]:
    return (row.picture,) if isinstance(row, Draft) else pictures(row)


def _known(picture: Source, looks: Mapping[Source, Look | BrokenRow]) -> Source:
    found = looks[picture]
    assert isinstance(found, Look)
    return replace(picture, look=found)


def _with_looks(example: PairExample | ChatExample, looks: Mapping[Source, Look | BrokenRow]) -> Example:
    if isinstance(example, PairExample):
        return replace(example, picture=_known(example.picture, looks))
    turns = (
        Turn(turn.role, tuple(_known(part, looks) if isinstance(part, Source) else part for part in turn.parts))
        for turn in example.turns
    )
    return replace(example, turns=tuple(turns))


def _is_told_by_picture(example: Example) -> bool:
    """Whether a second row about the same picture can only repeat or contradict the first."""
    return isinstance(example, DetectionExample) or (isinstance(example, PairExample) and example.label is not None)


def _sameness(example: Example) -> object:
    if _is_told_by_picture(example):
        (picture,) = pictures(example)
        return picture.look and picture.look.sha256
    return content(example)


def _natural(problem: Problem) -> tuple[str, list[int]]:
    """By file, and in the order of lines and entries."""
    return str(problem.place.file), [int(digits) for digits in re.findall(r"\d+", problem.place.at)]
