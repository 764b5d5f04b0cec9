"""The report as one HTML file: the verdict first, then what it rests on, then how to make it again.

It needs no other file, no network and no script, follows the reader's light or dark, and escapes all texts of the data.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.finetune.comparison import Side
from services.finetune.gate import Check
from services.finetune.report.charts import chart
from services.finetune.report.content import Report
from services.finetune.report.history import history, summary
from services.finetune.report.markup import Markup, tag
from services.finetune.report.pictures import chosen, gallery
from services.finetune.report.tables import changes, confusion, facts, histogram, table
from services.finetune.task import Confusion, Curve

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
CURVES = 12  # charts of the training
PROBLEMS = 100  # that the page lists; report.json has all


def write(report: Report, folder: Path) -> Path:
    """Write report.html and report.json into `folder`; returns the path of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = json.dumps(report.figures(), indent=2, allow_nan=False, default=str)
    (folder / "report.json").write_text(figures + "\n", encoding="utf-8")
    page = folder / "report.html"
    page.write_text(render(report), encoding="utf-8")
    return page


def render(report: Report) -> str:
    """The whole page."""
    style = Markup((Path(__file__).with_name("page.css")).read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{report.name}: {report.decision}"),
        tag("style", style),
    )
    body = tag("body", _header(report), tag("main", (_section(*section) for section in _sections(report))))
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(report: Report) -> list[tuple[str, Sequence[Markup]]]:
    """Titles and contents; what is empty is left out."""
    found = [
        ("Before and after", _scores(report)),
        ("Training", _training(report)),
        ("Curves", [part for side in report.comparison.sides for part in _curves(side)]),
        ("What is taken for what", _confusions(report)),
        ("Answers beside the truth, the worst first", _answers(report)),
        ("Data", _data(report)),
        ("Settings and environment", [facts("Settings", report.options), facts("Environment", report.environment)]),
        ("How to make it again", _again(report)),
    ]
    return [(title, parts) for title, parts in found if any(parts)]


def _section(title: str, parts: Sequence[Markup]) -> Markup:
    return tag("section", tag("h2", title), tag("div", parts, class_="parts"))


def _header(report: Report) -> Markup:
    verdict = report.verdict
    origin, before = tag("code", report.origin), tag("code", report.before)
    compared = (" and compared with it",) if origin == before else (", compared with what serves, ", before)
    return tag(
        "header",
        tag("p", f"Ocelli fine-tuning, {report.task}, run {report.run.id}", class_="quiet"),
        tag("h1", report.name),
        tag("p", tag("strong", f"Gate: {report.decision}", class_="pass" if verdict.passed else "fail")),
        tag(
            "ul",
            map(_check, verdict.checks),
            (tag("li", note, class_="note") for note in verdict.notes),
            class_="checks",
        ),
        tag("p", "Taught from ", origin, compared, "."),
    )


def _check(check: Check) -> Markup:
    mark = tag("b", "ok" if check.passed else "FAIL", class_="pass" if check.passed else "fail")
    return tag("li", mark, " ", check.sentence)


def _scores(report: Report) -> list[Markup]:
    tables = [part for side in report.comparison.sides for part in _side(side)]
    before, after = report.latency
    seconds = [("before", f"{before:.4f}"), ("after", f"{after:.4f}")]
    return [*tables, table("Seconds for one answer", ("version", "seconds"), seconds)]


def _side(side: Side) -> list[Markup]:
    """One table for the scores, and one for the classes of each."""
    rows = side.rows()
    told = f"{side.name.capitalize()} data, {side.examples} examples"
    tables = [changes(told, [row for row in rows if "/" not in row.name])]
    for score in dict.fromkeys(row.name.partition("/")[0] for row in rows if "/" in row.name):
        tables.append(changes(f"{score} by class, {side.name} data", side.classes(score), of=score))
    return tables


def _training(report: Report) -> list[Markup]:
    curves = history(report.run.folder / "metrics.jsonl")
    twice = {"score"} if report.headline in curves else set()  # the trainers' name for the headline
    drawn = [curve for curve in curves.values() if len(curve.x) > 1 and curve.name not in twice][:CURVES]
    charts = [chart(f"{curve.name} over steps", [curve], x="step", y=curve.name) for curve in drawn]
    if not curves:
        return []
    words = ("first", "last", "lowest", "highest")
    rows = [(name, *(f"{numbers[word]:g}" for word in words)) for name, numbers in summary(curves).items()]
    return [*charts, table("The training in numbers", ("figure", *words), rows)]


def _curves(side: Side) -> list[Markup]:
    """The charts of one side, before and after one beside the other."""
    both = (("before", side.before.charts), ("after", side.after.charts))
    pairs = (
        [_curve(f"{title}, {side.name} data, {when}", title, charts[title]) for when, charts in both if title in charts]
        for title in {**side.after.charts, **side.before.charts}
    )
    return [tag("div", pair, class_="pair") for pair in pairs if any(pair)]


def _curve(caption: str, title: str, curves: Sequence[Curve]) -> Markup:
    """A chart whose axes its title names, as in "precision over recall"."""
    y, _, x = title.partition(" over ")
    return chart(caption, curves, x=x or "x", y=y)


def _confusions(report: Report) -> list[Markup]:
    found = report.confusions.items()
    matrices = [confusion(f"After, {side} data", Confusion(**matrix)) for side, matrix in found]
    return [tag("div", matrices, class_="matrices")] if matrices else []


def _answers(report: Report) -> list[Markup]:
    answers = chosen(report.comparison)
    return [gallery(answers)] if answers else []


def _data(report: Report) -> list[Markup]:
    data = report.data
    source = {"from": data.description, "sha256": data.sha256, **data.counts}
    counted = {name: value for name, value in data.statistics.items() if _counts(value)}
    rest = {name: value for name, value in data.statistics.items() if name not in counted}
    return [
        facts("Data of this run", source),
        *([facts("Statistics", rest)] if rest else []),
        *(histogram(name, counts) for name, counts in counted.items()),
        *([_problems(report)] if data.problems else []),
    ]


def _counts(value: Any) -> bool:
    """Whether it is how often what occurs, and not least, median and most of something."""
    counts = isinstance(value, Mapping) and bool(value) and all(type(count) is int for count in value.values())
    return counts and "median" not in value


def _problems(report: Report) -> Markup:
    problems = report.data.problems
    caption = f"Rows that were left out: {len(problems)}"
    if len(problems) > PROBLEMS:
        caption += f"; the first {PROBLEMS}"
    rows = [(str(one.place), one.what) for one in problems[:PROBLEMS]]
    return tag("div", table(caption, ("where", "what"), rows, kind="text"), class_="whole")


def _again(report: Report) -> list[Markup]:
    told = (
        f"Started by {report.by}. The same command, on data of the same hash and by the same packages, does it again:"
    )
    return [tag("div", tag("p", told), tag("pre", tag("code", report.invocation)), class_="whole")]
