"""The demo's data: two new shapes and two new colours among the old ones, and scenes of the old alone, as COCO folders.

data/ validation/   pictures with new things      replay/ old/   pictures with nothing new
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image

from services.finetune.demo import coco, render
from services.finetune.demo.novel import familiar, novel
from services.finetune.demo.scenes import Scene
from services.finetune.demo.shapes import NEW_SHAPES, SHAPES

SIDE, QUALITY = 192, 90
# The number of pictures and their seed, which no training or evaluation of the shipped weights has.
Parts = Mapping[str, tuple[Callable[..., Scene], int, int]]
PARTS: Parts = {
    "data": (novel, 200, 9_100_001),
    "validation": (novel, 100, 9_100_002),
    "replay": (familiar, 600, 9_100_003),
    "old": (familiar, 100, 9_100_004),
}


def write(folder: Path, parts: Parts = PARTS) -> Mapping[str, Path]:
    """Write the four folders, unless a run that goes on has them; each is whole once its annotations are there."""
    for name, (draw, count, seed) in parts.items():
        if not (folder / name / "annotations.json").exists():
            _write(folder / name, [draw(seed=seed, index=index) for index in range(count)])
    return {name: folder / name for name in parts}


def _write(folder: Path, scenes: list[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{number:04}.jpg" for number in range(len(scenes))]
    for name, scene in zip(names, scenes, strict=True):
        Image.fromarray(render.picture(scene, SIDE)).save(folder / name, quality=QUALITY)
    truth = coco.dataset(scenes, names, side=SIDE, shapes=(*SHAPES, *NEW_SHAPES))
    (folder / "annotations.json").write_text(json.dumps(truth) + "\n")
