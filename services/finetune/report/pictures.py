"""Answers beside the truth: the worst first, embedded as JPEG within a budget of bytes.

shown -> the worst of new and old -> one size that fits them all -> figures
"""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from services.finetune.comparison import Comparison
from services.finetune.report.markup import Markup, join, tag
from services.finetune.task import Shown

MOST, NEW = 24, 16  # pictures in all, and those of new data where both sides have many
BUDGET = 4_000_000  # bytes of all data URIs
SIDES = (720, 560, 400, 280, 160)  # longer side in pixels, tried in turn


def chosen(comparison: Comparison) -> list[tuple[str, Shown]]:
    """The answers to show, each with the side that it is of: the worst ones of new data, then of old."""
    new, old = (sorted(side.after.shown if side else (), key=_worst) for side in (comparison.new, comparison.old))
    room = max(NEW, MOST - len(old))
    picked = [("new", one) for one in new[:room]]
    return picked + [("old", one) for one in old[: MOST - len(picked)]]


def gallery(answers: Sequence[tuple[str, Shown]]) -> Markup:
    """The figures; those that the budget has no room for are left out, the least wrong first."""
    uris = embedded([one.picture for _, one in answers])
    return tag(
        "div", (_figure(side, one, uri) for (side, one), uri in zip(answers, uris, strict=False)), class_="gallery"
    )


def embedded(pictures: Sequence[Image.Image], budget: int = BUDGET) -> list[str]:
    """The pictures as data URIs, as large as the budget allows; the last are left out where small ones are too much."""
    for side in SIDES:
        uris = [_uri(picture, side) for picture in pictures]
        if sum(map(len, uris)) <= budget:
            return uris
    while sum(map(len, uris)) > budget:
        uris.pop()
    return uris


def _worst(one: Shown) -> float:
    return -one.error


def _uri(picture: Image.Image, side: int) -> str:
    small = picture.convert("RGB")
    small.thumbnail((side, side))
    file = io.BytesIO()
    small.save(file, "JPEG", quality=88, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _figure(side: str, one: Shown, uri: str) -> Markup:
    said = [
        tag("div", tag("dt", name), tag("dd", text))
        for name, text in (("truth", one.truth), ("answer", one.answer))
        if text
    ]
    caption = join(
        tag("b", one.title),
        tag("span", f"{side} data, error {one.error:.4f}", class_="quiet"),
        tag("dl", said) if said else None,
    )
    return tag("figure", tag("img", src=uri, alt=f"Truth and answer: {one.title}"), tag("figcaption", caption))
