"""Render the example pictures of the README, the playground and the tests, with the truth about one of them.

    python -m services.finetune.demo.examples --output examples

Their seed is no seed of any training or evaluation, so that every model sees them for the first time.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from services.finetune.demo import coco, render
from services.finetune.demo.scenes import World, scene
from services.finetune.demo.shapes import SHAPES

SEED = 9_000_100
SIDE = 480
LIGHT = World(things=(5, 5), aspect=4 / 3, dark=0.0, touching=0.5)
DARK = World(things=(4, 4), aspect=4 / 3, dark=1.0, noise=0)
# Chosen by eye among those that all three demo detectors read rightly: many shapes and colours, pairs that touch.
LIGHT_INDEX, DARK_INDEX = 6, 23


def write(folder: Path) -> None:
    """Write `scene.jpg` and its truth `scene.json` (640 x 480), and `dark.png` (320 x 240)."""
    light, dark = scene(LIGHT, seed=SEED, index=LIGHT_INDEX), scene(DARK, seed=SEED, index=DARK_INDEX)
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render.picture(light, SIDE)).save(folder / "scene.jpg", quality=88)
    Image.fromarray(render.picture(dark, SIDE // 2)).save(folder / "dark.png", optimize=True)
    truth = coco.dataset([light], ["scene.jpg"], side=SIDE, shapes=SHAPES)
    (folder / "scene.json").write_text(json.dumps(truth, indent=1) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m services.finetune.demo.examples", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    write(parser.parse_args().output)


if __name__ == "__main__":
    main()
