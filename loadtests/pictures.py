"""Pictures to send: some like photographs, some of shapes that the shipped networks find.

A photograph is noise at every scale, the coarse stronger than the fine, so that JPEG works as usual.
"""

import io
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 480
QUALITY = 90
OCTAVES = 8
DECAY = 1.48  # from scale to scale; it makes files of about 84 kB, as photographs of this size are
SIZES = ((160, 160), (213, 160), (160, 240), (320, 240))  # shapes come in these, so that a batch has to mix them
COLOURS = ("red", "limegreen", "dodgerblue", "yellow", "purple", "orange", "cyan", "hotpink")
CORNERS = ((3, 0), (4, 0), (4, 45), (6, 0), (60, 0))  # triangle, square, diamond, hexagon, circle


def photograph(seed: int) -> bytes:
    """A JPEG of 640x480 that looks like nothing, of about 84 kB."""
    random = np.random.default_rng(seed)
    light = np.full((HEIGHT, WIDTH, 3), 128.0)
    for octave in range(OCTAVES):
        cells = (3 * 2**octave, 4 * 2**octave)
        grid = random.integers(0, 256, (*cells, 3), dtype=np.uint8)
        smooth = Image.fromarray(grid).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        light += (np.asarray(smooth, np.float32) - 127.5) / DECAY**octave
    file = io.BytesIO()
    Image.fromarray(light.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


@cache
def photographs(count: int = 16) -> tuple[bytes, ...]:
    """The first `count` photographs; they take a while to make."""
    return tuple(photograph(seed) for seed in range(count))


def decoded(jpeg: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """The picture as torchvision's detectors take it: float32 [3, height, width] in 0-1."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255)


def shapes(seed: int) -> bytes:
    """A PNG of one to six coloured shapes on a grey ground, as the shipped networks know them, in one of four sizes."""
    random = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    picture = Image.new("RGB", (width, height), (int(random.integers(20, 80)),) * 3)
    draw = ImageDraw.Draw(picture)
    for place in random.permutation(6)[: random.integers(1, 7)]:
        centre = (width * (place % 3 + 0.5) / 3, height * (place // 3 + 0.5) / 2)
        radius = min(width / 6, height / 4) * random.uniform(0.6, 0.95)
        corners, turn = CORNERS[random.integers(len(CORNERS))]
        colour = COLOURS[random.integers(len(COLOURS))]
        draw.regular_polygon((*centre, radius), corners, rotation=turn, fill=colour)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
