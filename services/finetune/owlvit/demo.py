"""The demo's data for OWL-ViT: scenes with their boxes in COCO's format, where a name is a colour and a shape.

data, validation   scenes with new things among old ones        replay, old   scenes of what the base knows
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from services.finetune.demo import coco
from services.finetune.demo.scenes import Scene
from services.finetune.towers.demo import NEW_PAIRS, OLD_PAIRS, SIDE, jpeg, name, new_scenes, old_scenes

NAMES = tuple(" ".join(pair) for pair in (*OLD_PAIRS, *NEW_PAIRS))
FEW, SOME = (1, 4), (1, 6)


def write(folder: Path) -> Mapping[str, Path]:
    """Write all four sets, unless a run that goes on has them; returns the folder of each."""
    sets: dict[str, Callable[[], list[Scene]]] = {
        "data": lambda: new_scenes(FEW, seed=11, pictures=400),
        "validation": lambda: new_scenes(FEW, seed=12, pictures=200),
        "replay": lambda: old_scenes(SOME, seed=13, pictures=800),
        "old": lambda: old_scenes(SOME, seed=14, pictures=300),
    }
    for part, draw in sets.items():
        if not (folder / part / "annotations.json").exists():
            write_set(folder / part, draw())
    return {part: folder / part for part in sets}


def write_set(folder: Path, scenes: Sequence[Scene]) -> None:
    """Write the pictures of `scenes`, and annotations.json last."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [f"{number:04}.jpg" for number in range(len(scenes))]
    for file, scene in zip(files, scenes, strict=True):
        (folder / file).write_bytes(jpeg(scene))
    truth = coco.dataset(scenes, files, side=SIDE, shapes=NAMES, named=name)
    (folder / "annotations.json").write_text(json.dumps(truth) + "\n")
