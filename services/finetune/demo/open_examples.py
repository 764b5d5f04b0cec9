"""Render the example pictures for CLIP and OWL-ViT: a scene, and one thing cut out of another one to look for.

    python -m services.finetune.demo.open_examples --output examples

Their seed is no seed of any training or evaluation. The scene is the first one with five different things of which one
is of a withheld pair, so that a right answer about it cannot be remembered.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from services.finetune.demo import render
from services.finetune.demo.one_shot import cut_out
from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import Scene, Thing, scene
from services.finetune.demo.words import WITHHELD, Query

SEED = 9_000_101
SIDE = 480
LIGHT = replace(WHOLE, things=(5, 5), dark=0.0, touching=0.0)
MARGIN = 2.0  # side of the cut-out by that of the thing


def shapes() -> Scene:
    """The scene of `shapes.jpg`."""
    candidates = (scene(LIGHT, seed=SEED, index=index) for index in range(1000))
    return next(candidate for candidate in candidates if _tells(candidate))


def wanted() -> Thing:
    """The thing in it that `query.png` shows another one of."""
    return next(thing for thing in shapes().things if Query(thing.colour, thing.shape) not in WITHHELD)


def write(folder: Path) -> None:
    """Write `shapes.jpg` (480 x 480) and `query.png` (square)."""
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render.picture(shapes(), SIDE)).save(folder / "shapes.jpg", quality=88)
    like = wanted()
    alone = replace(LIGHT, things=(1, 1), colours=(like.colour,), shapes=(like.shape,), noise=0)
    other = scene(alone, seed=SEED, index=0)
    cut = cut_out(render.picture(other, SIDE), other.things[0], MARGIN)
    Image.fromarray(np.ascontiguousarray(cut)).save(folder / "query.png", optimize=True)


def _tells(candidate: Scene) -> bool:
    pairs = {Query(thing.colour, thing.shape) for thing in candidate.things}
    return len(pairs) == 5 and len(pairs.intersection(WITHHELD)) == 1


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m services.finetune.demo.open_examples", description=__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to write to")
    write(parser.parse_args().output)


if __name__ == "__main__":
    main()
