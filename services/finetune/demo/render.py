"""Scenes -> pixels: the picture, and the map that says which thing each of its pixels belongs to.

`side` is the picture's shorter side in pixels, of any length: a scene is drawn at that size, not scaled to it. Both are
drawn at twice the size; the picture is then averaged, which smooths its edges, and the map is thinned out.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from services.finetune.demo.scenes import Colour, Scene

Pixels = NDArray[np.uint8]

OVERSAMPLING = 2


def size(scene: Scene, side: int) -> tuple[int, int]:
    """Width and height in pixels."""
    width, height = (round(side * extent) for extent in scene.extent)
    return width, height


def picture(scene: Scene, side: int) -> Pixels:
    """The picture with smooth edges and the scene's noise, `[height, width, 3]`."""
    colours = [thing.rgb for thing in scene.things]
    smooth = np.asarray(_drawn("RGB", scene, side, scene.background, colours).reduce(OVERSAMPLING), dtype=np.int16)
    rng = np.random.default_rng(scene.noise_seed)
    noise = rng.integers(-scene.noise, scene.noise, smooth.shape, dtype=np.int8, endpoint=True)
    return np.asarray(np.clip(smooth + noise, 0, 255), dtype=np.uint8)


def instances(scene: Scene, side: int) -> Pixels:
    """The number of the thing that is seen at each pixel, counted from 1, or 0 for background: `[height, width]`."""
    numbers = range(1, len(scene.things) + 1)
    return np.asarray(_drawn("L", scene, side, 0, numbers), dtype=np.uint8)[::OVERSAMPLING, ::OVERSAMPLING]


def masks(numbers: Pixels, count: int) -> Pixels:
    """One mask of 0 and 1 per thing from a map of `instances`: `[count, height, width]`."""
    return np.asarray(numbers == np.arange(1, count + 1)[:, None, None], dtype=np.uint8)


def boxes(masks: Pixels) -> NDArray[np.int64]:
    """The extent of each mask as x0, y0, x1, y1 in pixels, the end not included: `[count, 4]`."""
    shadows = [masks.max(axis=1), masks.max(axis=2)]  # on the columns, on the rows
    starts = [shadow.argmax(axis=1) for shadow in shadows]
    ends = [shadow.shape[1] - shadow[:, ::-1].argmax(axis=1) for shadow in shadows]
    return np.stack(starts + ends, axis=1)


def _drawn(
    mode: str, scene: Scene, side: int, background: Colour | int, fills: Sequence[Colour] | Sequence[int]
) -> Image.Image:
    width, height = size(scene, side)
    canvas = Image.new(mode, (width * OVERSAMPLING, height * OVERSAMPLING), background)
    draw, scale = ImageDraw.Draw(canvas), side * OVERSAMPLING
    for number, thing in enumerate(scene.things):
        # Pillow counts from the centre of a pixel, a scene from its corner.
        draw.polygon([(x * scale - 0.5, y * scale - 0.5) for x, y in thing.outline], fill=fills[number])
    return canvas
