"""HTML from functions: a tag escapes whatever it is given, but for what another tag made.

tag("p", "1 < 2", class_="note")  ->  <p class="note">1 &lt; 2</p>
"""

import html
from collections.abc import Iterable

VOID = {"meta", "img"}  # elements without an end


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = Markup | str | int | float | None


def tag(name: str, /, *children: Child | Iterable[Child], **attributes: str | float | None) -> Markup:
    """An element; attributes of None are left out, `class_` is `class`, and `aria_label` is `aria-label`."""
    pairs = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items() if value is not None)
    start = "".join(f' {key}="{escape(value)}"' for key, value in pairs)
    return Markup(f"<{name}{start}>" if name in VOID else f"<{name}{start}>{join(*children)}</{name}>")


def join(*children: Child | Iterable[Child]) -> Markup:
    """The children one after the other; None is nothing."""
    parts: list[str] = []
    for child in children:
        if isinstance(child, Markup):
            parts.append(child)
        elif child is None or isinstance(child, str | int | float):
            parts.append("" if child is None else escape(child))
        else:
            parts.append(join(*child))
    return Markup("".join(parts))


def escape(value: str | float) -> str:
    """Text that cannot end an element or an attribute, in characters that UTF-8 has."""
    return html.escape(str(value).encode("utf-8", "replace").decode())


def number(value: float | None, *, sign: bool = False) -> str:
    """A score: four digits after the point, or a dash for none."""
    if value is None:
        return "–"
    return f"{value:+.4f}" if sign else f"{value:.4f}"
