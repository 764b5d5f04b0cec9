"""The truth about a picture and what was found in it, side by side."""

from collections import Counter
from collections.abc import Iterable, Sequence

from PIL import Image, ImageDraw, ImageFont

from services.finetune.data.examples import Box, DetectionExample
from services.finetune.data.looking import LIMITS
from services.finetune.detection.matching import THRESHOLD, Matches, sure
from services.finetune.task import Shown
from shared.images.decode import decode
from shared.images.detections import Detections

HEIGHT, WIDEST, GAP, FONT = 300, 480, 8, 13  # pixels
COLOURS = ("#d81b60", "#1e88e5", "#d98200", "#00806a", "#7b3fb5", "#5d4037")

Marked = tuple[str, str, Box]  # label, what is written, box


def shown(example: DetectionExample, found: Detections, matches: Matches, *, threshold: float = THRESHOLD) -> Shown:
    """The picture twice: on the left its objects, on the right the sure answers with their scores."""
    answers = sure(found, threshold)
    picture = Image.fromarray(decode(example.picture.read(), LIMITS).pixels)
    truth: list[Marked] = [(label, label, box) for label, box in zip(example.labels, example.boxes, strict=True)]
    taken: list[Marked] = [(one.label, f"{one.label} {one.score:.2f}", one.box) for one in answers]
    names = sorted({label for label, _, _ in truth + taken})
    return Shown(
        title=example.picture.path.name if example.picture.member is None else example.picture.member,
        error=float(matches.mistakes),
        picture=_beside(_drawn(picture, truth, names), _drawn(picture, taken, names)),
        truth=_counted(example.labels),
        answer=_counted(one.label for one in answers),
    )


def _drawn(picture: Image.Image, marks: Sequence[Marked], names: Sequence[str]) -> Image.Image:
    scale = min(HEIGHT / picture.height, WIDEST / picture.width)
    canvas = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT)
    for label, text, box in marks:
        x0, y0, x1, y1 = (side * scale for side in box)
        colour = COLOURS[names.index(label) % len(COLOURS)]
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=2)
        corner = (x0 + 3, max(0, y0 - FONT - 4))
        draw.rectangle(draw.textbbox(corner, text, font=font), fill=colour, outline=colour, width=2)
        draw.text(corner, text, fill="white", font=font)
    return canvas


def _beside(left: Image.Image, right: Image.Image) -> Image.Image:
    both = Image.new("RGB", (left.width + GAP + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width + GAP, 0))
    return both


def _counted(labels: Iterable[str]) -> str:
    """`2 circle, 1 star`, or `nothing`."""
    return ", ".join(f"{count} {label}" for label, count in sorted(Counter(labels).items())) or "nothing"
