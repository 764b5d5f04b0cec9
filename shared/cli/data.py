"""`ocelli data validate`: reads training data as the job would, and tells what is in it and what is wrong.

read -> figures, notes, every problem with its line -> leakage into the validation data -> contact sheet
"""

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.finetune.data.examples import Dataset
from services.finetune.data.formats import TASKS, read
from services.finetune.data.imagefolder import TEMPLATE
from services.finetune.data.sheet import sheet
from services.finetune.data.split import Leak, leakage
from services.finetune.errors import DataError

EXAMPLES = """examples:
  ocelli data validate traffic/ --task detection --sheet traffic.png
  ocelli data validate pairs.jsonl --task clip --validation held-out.jsonl
"""


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found in a data set and between it and the one to judge by."""

    train: Dataset
    validation: Dataset | None
    leaks: list[Leak]

    def sound(self, *, strict: bool) -> bool:
        """Whether the job would take it; strictly, nothing may be noted and no picture nearly be on both sides."""
        sets = [self.train, *([self.validation] if self.validation else [])]
        wrong = any(one.problems or not one.examples for one in sets) or any(leak.same for leak in self.leaks)
        return not wrong and not (strict and (self.leaks or any(one.notes for one in sets)))


def configure(parser: argparse.ArgumentParser) -> None:
    """Add `validate`; it sets `run`, which takes the parsed arguments and returns the exit code."""
    parser.formatter_class, parser.epilog = argparse.RawDescriptionHelpFormatter, EXAMPLES
    commands = parser.add_subparsers(dest="action", metavar="action", required=True)
    validate = commands.add_parser("validate", help="find what is wrong before training does", description=__doc__)
    validate.formatter_class = argparse.RawDescriptionHelpFormatter
    validate.add_argument("path", type=Path, help="a folder or a file in a format of the task")
    validate.add_argument("--task", required=True, choices=TASKS, help="what the data is to teach")
    validate.add_argument("--validation", type=Path, metavar="PATH", help="data to judge by, checked for leakage")
    validate.add_argument("--template", default=TEMPLATE, help="text for folders of classes (default: %(default)s)")
    validate.add_argument("--sheet", type=Path, metavar="FILE", help="draw 16 samples into this PNG")
    validate.add_argument("--json", action="store_true", help="print the findings as JSON")
    validate.add_argument("--strict", action="store_true", help="let notes and pictures nearly alike count as problems")
    validate.set_defaults(run=_validate)


def _validate(arguments: argparse.Namespace) -> int:
    try:
        train = read(arguments.path, arguments.task, template=arguments.template)
        held = arguments.validation and read(arguments.validation, arguments.task, template=arguments.template)
        found = Findings(train, held, leakage(train.examples, held.examples) if held else [])
        if arguments.sheet and train.examples:
            _write(arguments.sheet, sheet(train.examples))
    except DataError as error:
        print(error, file=sys.stderr)
        return 1
    sound = found.sound(strict=arguments.strict)
    print(json.dumps(_as_json(found, sound=sound), indent=2) if arguments.json else _as_text(found, sound=sound))
    return 0 if sound else 1


def _write(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror}). Name another --sheet.") from None


def _as_json(found: Findings, *, sound: bool) -> dict[str, Any]:
    return {
        "sound": sound,
        "train": _set_as_json(found.train),
        "validation": _set_as_json(found.validation) if found.validation else None,
        "leakage": [
            {"train": str(leak.train), "validation": str(leak.validation), "same": leak.same} for leak in found.leaks
        ],
    }


def _set_as_json(data: Dataset) -> dict[str, Any]:
    problems = [{"file": str(p.place.file), "at": p.place.at, "what": p.what} for p in data.problems]
    return {"sha256": data.sha256, "statistics": data.statistics, "problems": problems, "notes": data.notes}


def _as_text(found: Findings, *, sound: bool) -> str:
    lines = _set_as_text(found.train)
    if found.validation:
        lines += ["", "validation", *_set_as_text(found.validation)]
        lines += ["", *map(str, found.leaks)] if found.leaks else ["", "no picture is on both sides"]
    return "\n".join([*lines, "", "sound" if sound else "not sound"])


def _set_as_text(data: Dataset) -> list[str]:
    lines = [f"{name.replace('_', ' '):18} {_figure(value)}" for name, value in data.statistics.items()]
    lines += [f"{'sha256':18} {data.sha256}", *(f"note: {note}" for note in data.notes)]
    if data.problems:
        lines += ["", f"{len(data.problems)} problems", *map(str, data.problems)]
    return lines


def _figure(value: Any) -> str:
    """A number, or named numbers: `least 1, median 2, most 9`."""
    if not isinstance(value, dict):
        return f"{value}"
    return ", ".join(f"{name} {figure:g}" for name, figure in value.items()) or "none"
