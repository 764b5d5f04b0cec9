"""Pictures for a report: upright, and no larger than a reader needs."""

import io

from PIL import Image, ImageOps

from services.finetune.data.examples import Source

SHOWN = 24  # pictures of an evaluation
SIDE = 240  # pixels of the longer side


def thumbnail(source: Source, side: int = SIDE) -> Image.Image:
    """The picture, upright, with a longer side of at most `side` pixels."""
    picture = ImageOps.exif_transpose(Image.open(io.BytesIO(source.read()))).convert("RGB")
    picture.thumbnail((side, side))
    return picture
