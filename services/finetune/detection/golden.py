"""Golden cases of a new version: pictures of its own data, and what it finds in them.

A service that takes the version over must find the same, so a picture is chosen only if no score of it lies where
rounding on another device could turn the answer.
"""

import io
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from PIL import Image

from services.detection.model import Detector, Item, Parameters
from services.finetune.data.examples import DetectionExample
from services.finetune.data.looking import LIMITS
from services.finetune.detection.answers import detector
from services.finetune.detection.matching import THRESHOLD
from shared.images.decode import decode
from shared.images.detections import Detection

CASES = 3
CANDIDATES = 40  # pictures looked at before we give up
SIDE = 256  # pixels, so that the files stay small
DOUBT = (0.2, 0.8)  # no score may lie in between
FAINT = Parameters(threshold=DOUBT[0])

Case = tuple[bytes, list[Detection]]


def write_golden(version: Path, examples: Sequence[DetectionExample]) -> int:
    """Write `golden.json` and its pictures into the directory; returns their number, 0 for a version full of doubt."""
    made = detector(version)
    (version / "golden").mkdir(exist_ok=True)
    cases = []
    for number, (data, found) in enumerate(islice(_clear(made, examples[:CANDIDATES]), CASES)):
        name = f"golden/{number}.png"
        (version / name).write_bytes(data)
        objects = [{"label": one.label, "box": [round(side, 2) for side in one.box]} for one in found]
        cases.append({"image": name, "threshold": THRESHOLD, "objects": objects})
    (version / "golden.json").write_text(json.dumps(cases, indent=1) + "\n")
    return len(cases)


def _clear(made: Detector, examples: Sequence[DetectionExample]) -> Iterator[Case]:
    """Pictures in which the version finds something and doubts nothing."""
    for example in examples:
        data = _small(example)
        (found,) = made.predict([made.preprocess(Item(data, FAINT))])
        if found.items and all(one.score > DOUBT[1] for one in found.items):
            yield data, list(found.items)


def _small(example: DetectionExample) -> bytes:
    picture = Image.fromarray(decode(example.picture.read(), LIMITS).pixels)
    picture.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
