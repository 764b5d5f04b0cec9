"""What a version says about itself: the model card that people read, and the manifest's card that machines read.

Report -> readme() -> README.md of the version        Report -> card() -> Store.publish(directory, card)
"""

import json
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from services.finetune.comparison import Row, Side
from services.finetune.report.content import Report
from services.finetune.report.markup import escape, number
from shared.weights.manifest import Card, Data, Made

TEXT = 4000  # characters of a manifest's text


class Use(NamedTuple):
    """How a version of a task is found on a hub, and asked."""

    pipeline: str
    what: str
    request: str


USES: Mapping[str, Use] = {
    "detection": Use(
        "object-detection",
        "finds objects of its own classes in a picture",
        "curl -F image=@picture.jpg -F model={model} localhost:8000/v1/detect",
    ),
    "clip": Use(
        "zero-shot-image-classification",
        "puts pictures and texts into one space",
        "curl -F image=@picture.jpg -F 'labels=one thing,another' localhost:8000/v1/classify",
    ),
    "owlvit": Use(
        "zero-shot-object-detection",
        "finds in a picture what a text names",
        "curl -F image=@picture.jpg -F 'labels=one thing,another' localhost:8000/v1/detect/open",
    ),
    "llava": Use(
        "image-text-to-text",
        "answers questions about pictures",
        """curl --json '{{"messages": [{{"role": "user", "content": "Hello"}}]}}' localhost:8000/v1/chat/completions""",
    ),
}


def card(report: Report) -> Card:
    """What the manifest says of the version."""
    settings, base = report.settings, report.base
    counts = ", ".join(f"{count} {name}" for name, count in report.data.counts.items())
    return Card(
        model=base.model,
        version=report.version,
        description=f"{base.model}@{base.version} fine-tuned by ocelli finetune {report.task}; gate {report.decision}."[
            :TEXT
        ],
        base=report.origin,
        adapter=f"LoRA of rank {settings.lora}, merged into the base" if settings.lora else None,
        processor=base.manifest.processor,
        data=Data(description=f"{report.data.description}: {counts}"[:TEXT], sha256=report.data.sha256),
        metrics=metrics(report),
        made=Made(
            by=report.by[:TEXT],
            recipe=f"ocelli finetune {report.task}",
            command=report.invocation[:TEXT],
            code=report.environment.get("code"),
            parameters=_parameters(report),
        ),
    )


def metrics(report: Report) -> dict[str, float]:
    """The finite scores as `new/ap50`, `new_before/ap50`, `old/ap50/circle`, …, and the seconds of an answer."""
    found: dict[str, float | None] = {}
    for side in report.comparison.sides:
        for row in side.rows():
            found |= {f"{side.name}_before/{row.name}": row.before, f"{side.name}/{row.name}": row.after}
    before, after = report.latency
    found |= {"latency_before": round(before, 6), "latency": round(after, 6)}
    return {name: value for name, value in found.items() if value is not None}


def readme(report: Report) -> str:
    """The model card, in Markdown with the front matter that model hubs read; texts of the data are escaped."""
    parts = [
        _front_matter(report),
        f"# {_text(report.name)}",
        _what(report),
        *(_scores(side, report.headline) for side in report.comparison.sides),
        "\n".join(("## Limits", "", *(f"* {limit}" for limit in _limits(report)))),
        _use(report),
        _made(report),
    ]
    return "\n\n".join(parts) + "\n"


def _parameters(report: Report) -> dict[str, bool | int | float | str]:
    settings = report.settings
    chosen = {"lr": settings.lr, "batch": settings.batch, "epochs": settings.epochs, "lora": settings.lora}
    steps = report.steps
    return {
        "run": report.run.id,
        "seed": settings.seed,
        "gate": report.decision,
        "before": report.before,
        **({"steps": steps} if steps is not None else {}),
        **{name: value for name, value in chosen.items() if value is not None},
    }


def _front_matter(report: Report) -> str:
    scores = dict.fromkeys(name.partition("/")[0] for name in report.comparison.new_after.scores)
    fields = {
        "base_model": f"{report.base.model}@{report.base.version}",
        "pipeline_tag": USES[report.task].pipeline,
        "datasets": [report.data.description],
        "metrics": list(scores),
    }
    # A JSON value is a YAML value as well, whatever characters it has.
    return "\n".join(("---", *(f"{name}: {json.dumps(value)}" for name, value in fields.items()), "---"))


def _what(report: Report) -> str:
    origin, sha = report.origin, report.data.sha256
    counts = ", ".join(f"{count} {name}" for name, count in report.data.counts.items())
    return (
        f"A model that {USES[report.task].what}: `{origin}` taught by `ocelli finetune {report.task}` from "
        f"{_text(report.data.description)} ({counts} examples, sha256 `{sha}`).\n\n"
        f"Gate: **{_text(report.decision)}**. `report.html` beside this file tells more."
    )


def _scores(side: Side, headline: str) -> str:
    """The scores, and the headline's classes."""
    told = [row for row in side.rows() if "/" not in row.name] + side.classes(headline)
    rows = (f"| {_text(row.name)} | {number(row.before)} | {number(row.after)} | {_change(row)} |" for row in told)
    head = (
        f"## On {side.name} data ({side.examples} examples)\n\n| score | before | after | change |\n|---|---|---|---|"
    )
    return "\n".join((head, *rows))


def _change(row: Row) -> str:
    return number(None if row.before is None or row.after is None else row.change, sign=True)


def _limits(report: Report) -> Iterator[str]:
    new = report.comparison.new
    yield f"Judged on {new.examples} pictures of the same source as the training data; others may be harder."
    classes = [row for row in new.classes(report.headline) if row.after is not None]
    if classes:
        weakest = min(classes, key=lambda row: row.after or 0.0)
        name = _text(weakest.name.partition("/")[2])
        yield f"Weakest class of the new data: {name}, {report.headline} {number(weakest.after)}."
    yield from (_text(f"{note[0].upper()}{note[1:]}.") for note in report.verdict.notes)
    if report.data.problems:
        yield f"{len(report.data.problems)} broken rows of the data were left out."
    yield "It inherits the limits and the licence of its base; the licence of the data is its owner's to tell."


def _use(report: Report) -> str:
    request = USES[report.task].request.format(model=report.base.model)
    return f"## Use\n\n```sh\nocelli models push {report.name}\n{request}\n```"


def _made(report: Report) -> str:
    # An indented block cannot be ended by what stands in it, as a fence can.
    command = "\n".join(f"    {line}" for line in report.invocation.splitlines())
    run = f"in run {_text(report.run.id)} with seed {report.settings.seed}"
    return f"## Made by\n\n{_text(report.by)}, {run}:\n\n{command}"


def _text(text: str) -> str:
    """A foreign text as one line of Markdown that means itself."""
    line = escape(" ".join(text.split()))
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in line)
