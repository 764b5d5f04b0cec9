"""What a data set is like, in figures for the report: counts, classes, sizes of boxes, pictures and texts."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import Any

from services.finetune.data.examples import (
    ChatExample,
    DetectionExample,
    Example,
    PairExample,
    pictures,
)
from services.finetune.data.looking import seen

SMALL, MEDIUM = 32**2, 96**2  # square pixels: COCO's bounds


def statistics(examples: Sequence[Example]) -> dict[str, Any]:
    """Plain figures, ready for JSON; only those that the kind of examples has."""
    sources = [picture for example in examples for picture in pictures(example)]
    sizes = [seen(source).size for source in sources]
    found: dict[str, Any] = {"rows": len(examples), "pictures": len({seen(source).sha256 for source in sources})}
    if sizes:
        found["widths"], found["heights"] = (spread(side) for side in zip(*sizes, strict=True))
    found |= _detections([example for example in examples if isinstance(example, DetectionExample)])
    found |= _pairs([example for example in examples if isinstance(example, PairExample)])
    found |= _chats([example for example in examples if isinstance(example, ChatExample)])
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """The least, the one in the middle, and the most."""
    return {"least": min(values), "median": median(values), "most": max(values)}


def classes(example: Example) -> tuple[str, ...]:
    """The classes that an example shows, as often as it shows them."""
    if isinstance(example, DetectionExample):
        return example.labels
    return (example.label,) if isinstance(example, PairExample) and example.label is not None else ()


def histogram(examples: Sequence[Example]) -> dict[str, int]:
    """How often each class is shown, the most frequent first."""
    counts = Counter(name for example in examples for name in classes(example))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _detections(examples: Sequence[DetectionExample]) -> dict[str, Any]:
    if not examples:
        return {}
    areas = [(x2 - x1) * (y2 - y1) for example in examples for x1, y1, x2, y2 in example.boxes]
    small = sum(area < SMALL for area in areas)
    medium = sum(area < MEDIUM for area in areas) - small
    return {
        "objects": len(areas),
        "classes": histogram(examples),
        "boxes": {"small": small, "medium": medium, "large": len(areas) - small - medium},
        "masks": sum(len(example.masks) for example in examples if example.masks),
        "without_objects": sum(not example.boxes for example in examples),
    }


def _pairs(examples: Sequence[PairExample]) -> dict[str, Any]:
    if not examples:
        return {}
    found: dict[str, Any] = {
        "texts": len({example.text for example in examples}),
        "characters": spread([len(example.text) for example in examples]),
    }
    return found | ({"classes": labels} if (labels := histogram(examples)) else {})


def _chats(examples: Sequence[ChatExample]) -> dict[str, Any]:
    if not examples:
        return {}
    answers = [
        sum(len(part) for part in turn.parts if isinstance(part, str))
        for example in examples
        for turn in example.turns
        if turn.role == "assistant"
    ]
    return {
        "turns": spread([len(example.turns) for example in examples]),
        "pictures_of_a_row": spread([len(pictures(example)) for example in examples]),
        "answers": len(answers),
        "characters": spread(answers),
    }
