"""COCO segmentations as pixels."""

import numpy as np
from faster_coco_eval.core import mask as run_lengths

from services.finetune.data import masks


def test_masks_are_the_pixels_that_cocos_own_tools_find() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        pixels = (rng.random((13, 17)) < rng.random()).astype(np.uint8)
        pixels[5, 5] = 1
        told = run_lengths.encode(np.asfortranarray(pixels))
        runs = {"size": [13, 17], "counts": told["counts"].decode()}
        masks.check(runs, (17, 13))
        assert (masks.raster(runs, (17, 13)) == pixels).all()


def test_a_polygon_covers_what_it_encloses() -> None:
    square = [[2, 3, 6, 3, 6, 9, 2, 9]]
    assert masks.raster(square, (12, 12))[3:10, 2:7].all()
    assert masks.raster(square, (12, 12)).sum() == 35
