"""A contact sheet: samples from the whole of a data set, with boxes, masks and texts drawn as they were read."""

import io
import textwrap
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from services.finetune.data import masks
from services.finetune.data.examples import ChatExample, DetectionExample, Example, PairExample, Source, pictures
from services.finetune.data.looking import LIMITS
from shared.images.decode import decode

SAMPLES, COLUMNS = 16, 4
WIDTH, HEIGHT, CAPTION, GAP = 300, 220, 66, 10  # pixels of a cell
LINE, FONT = 46, 11  # characters, pixels
COLOURS = ("#d81b60", "#1e88e5", "#d98200", "#00806a", "#7b3fb5", "#5d4037")

Cell = tuple[int, int]


def sheet(examples: Sequence[Example]) -> bytes:
    """A PNG of up to 16 examples, evenly apart from the first to the last."""
    count = min(SAMPLES, len(examples))
    chosen = [examples[index * len(examples) // count] for index in range(count)]
    rows = -(-count // COLUMNS)
    page = Image.new("RGB", (COLUMNS * (WIDTH + GAP) + GAP, rows * (HEIGHT + CAPTION + GAP) + GAP), "white")
    names = sorted({label for example in chosen if isinstance(example, DetectionExample) for label in example.labels})
    for number, example in enumerate(chosen):
        column, row = number % COLUMNS, number // COLUMNS
        _draw(page, example, (GAP + column * (WIDTH + GAP), GAP + row * (HEIGHT + CAPTION + GAP)), names)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _draw(page: Image.Image, example: Example, cell: Cell, names: Sequence[str]) -> None:
    x, y = cell
    shown = pictures(example)
    for index, source in enumerate(shown):  # several pictures share the cell, side by side
        picture = _read(source)
        scale = min(WIDTH / len(shown) / picture.width, HEIGHT / picture.height)
        if isinstance(example, DetectionExample):
            picture = _tinted(picture, example, names)
        small = picture.resize((max(1, int(picture.width * scale)), max(1, int(picture.height * scale))))
        page.paste(small, (x + index * WIDTH // len(shown), y))
        if isinstance(example, DetectionExample):
            _boxes(ImageDraw.Draw(page), example, cell, scale, names)
    lines = [part for line in _caption(example).splitlines() for part in textwrap.wrap(line, LINE)]
    _write(ImageDraw.Draw(page), (x, y + HEIGHT + 2), "\n".join(lines[:5]), "black")


def _read(source: Source) -> Image.Image:
    return Image.fromarray(decode(source.read(), LIMITS).pixels)


def _tinted(picture: Image.Image, example: DetectionExample, names: Sequence[str]) -> Image.Image:
    """The picture with its masks tinted in the colours of their classes."""
    for label, mask in zip(example.labels, example.masks or (), strict=False):
        covered = Image.fromarray(masks.raster(mask, example.size)).convert("L").point(lambda value: value // 3)
        picture.paste(_colour(label, names), (0, 0), covered)
    return picture


def _boxes(
    draw: ImageDraw.ImageDraw, example: DetectionExample, cell: Cell, scale: float, names: Sequence[str]
) -> None:
    x, y = cell
    for label, (x1, y1, x2, y2) in zip(example.labels, example.boxes, strict=True):
        corners = (x + x1 * scale, y + y1 * scale, x + x2 * scale, y + y2 * scale)
        colour, corner = _colour(label, names), (corners[0] + 2, max(y, corners[1] - 13))
        draw.rectangle(corners, outline=colour, width=2)
        draw.rectangle(
            draw.textbbox(corner, label, font=ImageFont.load_default(FONT)), outline=colour, fill=colour, width=3
        )
        _write(draw, corner, label, "white")


def _write(draw: ImageDraw.ImageDraw, where: tuple[float, float], text: str, colour: str) -> None:
    draw.multiline_text(where, text, fill=colour, font=ImageFont.load_default(FONT), spacing=2)


def _colour(label: str, names: Sequence[str]) -> str:
    return COLOURS[names.index(label) % len(COLOURS)]


def _caption(example: Example) -> str:
    if isinstance(example, PairExample):
        return example.text
    if isinstance(example, ChatExample):
        said = ("".join(part for part in turn.parts if isinstance(part, str)) for turn in example.turns)
        return "\n".join(f"{turn.role[0].upper()}: {words}" for turn, words in zip(example.turns, said, strict=True))
    return "" if example.boxes else "no objects"
