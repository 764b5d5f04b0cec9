"""Tables of the report: scores before and after, who was taken for whom, and plain facts.

Each has a caption, scrolls by itself where a screen is narrow, and says with words or signs what its colours say.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from services.finetune.comparison import Row
from services.finetune.report.markup import Child, Markup, number, tag
from services.finetune.task import Confusion

LONG = 16  # rows; a longer table is folded
CLASSES = 40  # a larger confusion matrix is told as its most frequent errors


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[Child]], *, kind: str | None = None) -> Markup:
    """Rows whose first cell names them; a cell that is `<td>` already stays so. The kind "text" lets words break."""
    body = (
        tag("tr", tag("th", first, scope="row"), (cell if is_cell(cell) else tag("td", cell) for cell in rest))
        for first, *rest in rows
    )
    made = tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", (tag("th", name, scope="col") for name in head))) if head else None,
        tag("tbody", body),
        class_=kind,
    )
    framed = tag("div", made, class_="wide", role="region", aria_label=caption, tabindex=0)
    folded = len(rows) > LONG
    return tag("details", tag("summary", f"{caption} ({len(rows)} rows)"), framed) if folded else framed


def is_cell(child: Child) -> bool:
    """Whether a child is a cell of a table by itself."""
    return isinstance(child, Markup) and child.startswith("<td")


def changes(caption: str, rows: Sequence[Row], *, of: str = "") -> Markup:
    """Scores before and after, and how they changed; those of the classes `of` a score go by their own names."""
    name = f"{of}/" if of else ""
    cells = [(row.name.removeprefix(name), number(row.before), number(row.after), _change(row)) for row in rows]
    return table(caption, ("score", "before", "after", "change"), cells)


def _change(row: Row) -> Markup:
    if not row.gain:
        return tag("td", number(row.gain))
    sign, kind = ("▲ ", "better") if row.gain > 0 else ("▼ ", "worse")
    return tag("td", sign, number(row.change, sign=True), class_=kind)


def confusion(caption: str, matrix: Confusion) -> Markup:
    """What is (rows) against what it was taken for (columns), shaded by its share of the row."""
    if len(matrix.names) > CLASSES:
        errors = sorted(_errors(matrix), key=lambda error: -error[2])[:CLASSES]
        return table(f"{caption}: the most frequent errors", ("is", "taken for", "times"), errors)
    rows = [
        [name, *(_shaded(count, sum(counts)) for count in counts)]
        for name, counts in zip(matrix.names, matrix.counts, strict=True)
    ]
    return tag("div", table(caption, ("truth / answer", *matrix.names), rows), class_="matrix")


def _errors(matrix: Confusion) -> Iterator[tuple[str, str, int]]:
    for row, counts in enumerate(matrix.counts):
        for column, count in enumerate(counts):
            if count and row != column:
                yield matrix.names[row], matrix.names[column], count


def _shaded(count: int, total: int) -> Markup:
    share = round(100 * count / total) if total else 0
    return tag("td", count, style=f"--share:{share}%", class_=None if count else "none")


def facts(caption: str, mapping: Mapping[str, Any]) -> Markup:
    """Names and values; what is nested gets its whole path as a name."""
    return table(caption, (), list(flat(mapping)), kind="text")


def histogram(caption: str, counts: Mapping[str, float]) -> Markup:
    """Numbers by name, each with a bar."""
    most = max(counts.values()) or 1
    rows = [(name, plain(count), _bar(100 * count / most)) for name, count in counts.items()]
    return table(caption, ("", "count", ""), rows)


def _bar(share: float) -> Markup:
    return tag("td", tag("span", style=f"width:{max(share, 0):.0f}%", class_="bar"), aria_hidden="true", class_="bars")


def flat(mapping: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """The leaves of a nested mapping, each with its path."""
    for name, value in mapping.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{name} · ")
        else:
            yield f"{path}{name}", plain(value)


def plain(value: Any) -> str:
    """A value as a person reads it."""
    if value is None or (isinstance(value, list | tuple) and not value):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    return ", ".join(plain(one) for one in value) if isinstance(value, list | tuple) else str(value)
