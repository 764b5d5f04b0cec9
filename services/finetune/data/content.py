"""What a row is, apart from where it stands: the hash of its words and of its pictures' bytes.

Independent of the folder's place, of files' names, and of the order of files, rows and boxes.
"""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from services.finetune.data.examples import DetectionExample, Example, PairExample, Source
from services.finetune.data.looking import seen


def content(example: Example) -> str:
    """64 hex digits that two examples share only if they say the same of the same pictures."""
    return hashlib.sha256(json.dumps(_told(example), sort_keys=True).encode()).hexdigest()


def dataset_sha256(examples: Iterable[Example]) -> str:
    """64 hex digits for a set of examples."""
    return hashlib.sha256("".join(sorted(map(content, examples))).encode()).hexdigest()


def _told(example: Example) -> list[Any]:
    if isinstance(example, DetectionExample):
        masks = example.masks or [None] * len(example.boxes)
        things = zip(example.labels, example.boxes, masks, strict=True)
        return ["detection", seen(example.picture).sha256, sorted(things, key=repr)]
    if isinstance(example, PairExample):
        return ["pair", seen(example.picture).sha256, example.text, example.label]
    return ["chat", *([turn.role, *map(_part, turn.parts)] for turn in example.turns)]


def _part(part: str | Source) -> dict[str, str]:
    """Told apart, so that no text can stand for a picture."""
    return {"text": part} if isinstance(part, str) else {"picture": seen(part).sha256}
