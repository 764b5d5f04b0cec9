"""Pictures like photographs: noise at every scale, the coarse stronger than the fine, so that JPEG works as usual."""

import io

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 640, 480
QUALITY = 90
OCTAVES = 8
DECAY = 1.48  # from scale to scale; it makes files of about 84 kB, as photographs of this size are


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


def decoded(jpeg: bytes) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    """The picture as torchvision's detectors take it: float32 [3, height, width] in 0-1."""
    pixels = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"), np.float32)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1) / 255)
