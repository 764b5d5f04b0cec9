"""Examples of boxes -> batches: pictures as serving prepares them, their objects, and one list of queries for all.

The queries of a batch are the names in it, filled up with others of the data that are not there. Each is worded in one
of the ways in which people ask, the same for all batches of a step.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_convert

from services.finetune.data.examples import DetectionExample
from services.finetune.errors import DataError
from services.finetune.towers.pictures import Pictures
from services.finetune.training.mixture import Luck
from services.owlvit.labels import normal
from services.owlvit.phrases import SLOT, Ids
from services.owlvit.weights import State
from shared.accel.pixels import normalise

QUERIES = 100  # of a batch
BRIGHTNESS = 0.05  # spread of what is added to each channel
OWN = None  # the version's own template, which most callers use
TEMPLATES = (OWN, OWN, "{}", "a {}", "an image of a {}")


class Row(NamedTuple):
    """One example ready for the network; boxes [objects, 4] are centre and size in 0-1 of the input."""

    pixels: Tensor
    brightness: Tensor
    boxes: Tensor
    labels: tuple[str, ...]
    known: bool
    chance: str  # what its batch draws queries by, and all of its step


class Objects:
    """Examples -> rows -> batches."""

    def __init__(self, state: State, new: Sequence[DetectionExample], replay: Sequence[DetectionExample]) -> None:
        """Raises `DataError` for a name that is too long for the version."""
        self._pictures, self._state = Pictures(state.pixels), state
        self._replay = frozenset(example.place for example in replay)
        self._known = _names(replay)
        vision = state.pretrained.config.vision_config
        self._patches = (vision.image_size // vision.patch_size) ** 2  # each can tell of one object
        self._names = sorted(_names(new) | self._known)
        self._phrases = {name: self.wordings(name) for name in self._names}

    def row(self, example: DetectionExample, luck: Luck) -> Row:
        """An example as it is read for one step."""
        pixels = self._pictures[example.picture]
        brightness = BRIGHTNESS * torch.randn(3, 1, 1)
        boxes = _relative(example, square=self._state.pixels.square)
        most, known = self._patches, example.place in self._replay
        return Row(pixels, brightness, boxes[:most], example.labels[:most], known, luck.step)

    def batch(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The arguments of `Finder.forward`."""
        chance = rows[0].chance
        names = self._queries(rows, Random(chance))
        phrases = [torch.tensor(Random(f"{chance}/{name}").choice(self._phrases[name])) for name in names]
        pixels = normalise(torch.stack([row.pixels for row in rows]), self._state.pixels)
        return {
            "pixels": pixels + torch.stack([row.brightness for row in rows]),
            "ids": pad_sequence(phrases, batch_first=True),
            "known": torch.tensor([row.known for row in rows]),
            "known_queries": torch.tensor([name in self._known for name in names]),
            "objects": _objects(rows, names),
        }

    def _queries(self, rows: Sequence[Row], rng: Random) -> list[str]:
        """The names of the batch, and others up to `QUERIES`, sorted."""
        there = {label for row in rows for label in row.labels}
        others = [name for name in self._names if name not in there]
        return sorted([*there, *rng.sample(others, max(0, min(len(others), QUERIES - len(there))))])

    def wordings(self, name: str) -> list[Ids]:
        """The ways to ask for `name` that are short enough. Raises `DataError` where the version's own is not."""
        own, longest = self._state.defaults.template, self._state.longest
        asked = [self._state.tokenizer.ids((template or own).replace(SLOT, normal(name))) for template in TEMPLATES]
        if len(asked[0]) > longest:
            makes = f"It makes {len(asked[0])} tokens in '{own}', and this model reads at most {longest}"
            raise DataError(f"The name '{name}' is too long for this model. {makes}. Find a shorter one.")
        return [ids for ids in asked if len(ids) <= longest]


def _names(examples: Iterable[DetectionExample]) -> frozenset[str]:
    return frozenset(label for example in examples for label in example.labels)


def _objects(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Tensor]:
    """All objects of a batch: their boxes, the numbers of their pictures, and those of their names."""
    pairs = [(at, names.index(label)) for at, row in enumerate(rows) for label in row.labels]
    pictures, labels = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).unbind(1)
    return {"boxes": torch.cat([row.boxes for row in rows]), "pictures": pictures, "labels": labels}


def _relative(example: DetectionExample, *, square: bool) -> Tensor:
    """The boxes in 0-1 of the network's input, which is the picture squeezed, or filled up to a square."""
    width, height = (max(example.size),) * 2 if square else example.size
    corners = torch.tensor(example.boxes).reshape(-1, 4) / torch.tensor([width, height, width, height])
    boxes: Tensor = box_convert(corners, "xyxy", "cxcywh")
    return boxes
