from pathlib import Path

import numpy as np
from PIL import Image

from services.finetune.demo import open_examples
from services.finetune.demo.words import WITHHELD, Query

SHIPPED = Path(__file__).resolve().parents[4] / "examples"


def test_the_shipped_pictures_are_what_the_renderer_draws(tmp_path: Path) -> None:
    open_examples.write(tmp_path)

    for name, tolerance in (("shapes.jpg", 1.0), ("query.png", 0.0)):  # another libjpeg may round otherwise
        with Image.open(SHIPPED / name) as shipped, Image.open(tmp_path / name) as drawn:
            assert shipped.size == drawn.size
            assert np.abs(np.asarray(shipped, dtype=int) - np.asarray(drawn, dtype=int)).mean() <= tolerance


def test_the_scene_shows_five_different_things_one_of_a_withheld_pair() -> None:
    pairs = [Query(thing.colour, thing.shape) for thing in open_examples.shapes().things]

    assert len(set(pairs)) == 5
    assert len(set(pairs) & set(WITHHELD)) == 1


def test_the_query_shows_what_the_scene_has_once() -> None:
    like = open_examples.wanted()
    pairs = [(thing.colour, thing.shape) for thing in open_examples.shapes().things]
    assert pairs.count((like.colour, like.shape)) == 1
