"""How far a taught CLIP has moved from its base: whether vectors that callers have stored keep their meaning.

probes (texts and pictures that the base knows) -> vectors before, vectors after -> shift -> space.json
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from services.clip.model import Clip, Item
from services.finetune.clip.vectors import vectors
from services.finetune.data.examples import PairExample
from services.finetune.demo.novel import familiar
from services.finetune.demo.words import PAIRS, prompt
from services.finetune.towers.demo import jpeg

FILE = "space.json"
MOST = 200  # texts, and as many pictures
SEED = 9_000_013


class Probes(NamedTuple):
    """What is embedded before and after."""

    texts: Sequence[str]
    pictures: Sequence[bytes]


def probes(old: Sequence[PairExample]) -> Probes:
    """Probes of what the base knows: the old examples, or shapes world where there are none."""
    if old:
        chosen = old[:: max(1, len(old) // MOST)][:MOST]
        return Probes(sorted({example.text for example in chosen}), [example.picture.read() for example in chosen])
    scenes = (familiar(seed=SEED, index=index) for index in range(len(PAIRS)))
    return Probes([prompt(pair) for pair in PAIRS], [jpeg(scene) for scene in scenes])


def shift(before: Clip, after: Clip, probes: Probes) -> float:
    """Mean of one minus the cosine between the vectors of both: 0 where nothing moved. Texts count like pictures."""
    texts, pictures = [Item(text) for text in probes.texts], [Item(data=data) for data in probes.pictures]
    moved = [1 - np.einsum("nd,nd->n", vectors(before, part), vectors(after, part)) for part in (texts, pictures)]
    return float(np.mean([part.mean() for part in moved]))


def keep(folder: Path, *, base: str, moved: float) -> None:
    """Write down in a version which space it comes from, and how far from it."""
    (folder / FILE).write_text(json.dumps({"base": base, "shift": round(moved, 5)}) + "\n")


def kept(version: Path) -> float | None:
    """The shift of a version, or None for one that did not come from another."""
    file = version / FILE
    return float(json.loads(file.read_text())["shift"]) if file.exists() else None
