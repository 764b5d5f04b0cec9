"""A run that ended, for the tests of what is told of it: the shipped SSD, figures by hand, and texts that mean harm."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from PIL import Image

from services.finetune.comparison import Comparison
from services.finetune.data.examples import Place, Problem
from services.finetune.gate import judge
from services.finetune.report.content import Learnt, Report
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Confusion, Curve, Evaluation, Shown
from shared.weights.store import Store, Version

HOSTILE = '<script>alert("1")</script>'
SHA = "5a2877fbb398c028282c429de46b444cc7ff2726bbdbc87202dcceb38e51c800"


@cache
def base() -> Version:
    return Store("models").fetch("ssd", Path("unused"))


def evaluation(ap50: float, **classes: float) -> Evaluation:
    """One of that score, with a chart, a confusion matrix and two answers."""
    scores = {"ap50": ap50, "loss": 0.25, **{f"ap50/{name}": value for name, value in classes.items()}}
    curves = [Curve(name, [0.0, 0.5, 1.0], [1.0, 0.75, 0.0]) for name in (*classes, HOSTILE)]
    shown = [
        Shown(f"picture of error {error} {HOSTILE}", error, Image.new("RGB", (80, 40), "teal"), HOSTILE, "a square")
        for error in (0.125, 2.0)
    ]
    confusion = Confusion(["circle", HOSTILE, "nothing"], [[31, 2, 3], [0, 47, 5], [7, 0, 0]])
    return Evaluation(scores, {"precision over recall": curves}, confusion, shown)


def comparison() -> Comparison:
    return Comparison(
        evaluation(0.1234),
        evaluation(0.9876, circle=0.8765, arrow=0.7654),
        evaluation(0.9712, circle=0.9612),
        evaluation(0.9543, circle=0.9321),
        new_examples=100,
        old_examples=12,
    )


def learnt() -> Learnt:
    place = Place(Path(f"pictures/{HOSTILE}.json"), "annotations[3]")
    return Learnt(
        description=f"pictures/{HOSTILE}",
        sha256=SHA,
        counts={"train": 211, "validation": 100, "replay": 1009, "old": 12},
        statistics={
            "objects by class": {"circle": 173, HOSTILE: 389},
            "widths": {"least": 40, "median": 161.25, "most": 640},
            "odd": float("nan"),
        },
        problems=[Problem(place, f"category {HOSTILE} is unknown")],
    )


def report(folder: Path, **changes: Any) -> Report:
    """The report of a run in `folder`; `changes` are fields of it."""
    run = Run.begin(folder)
    for step in range(1, 41):
        run.measure(step=step, loss=3.5 / step, lr=0.0025)
    run.measure(step=20, score=0.5, ap50=0.5, **{"ap50/circle": 0.25})
    run.measure(step=40, score=0.75, ap50=0.75, **{"ap50/circle": 0.5})
    command = ["ocelli", "finetune", "detection", "--data", HOSTILE, "--store", "s3://user:secret@bucket/store"]
    settings = JobSettings(store="s3://user:secret@bucket/store", seed=7, lora=16)
    told = comparison()
    told_report = Report(
        task="detection",
        headline="ap50",
        base=base(),
        served=base(),
        version="arrows-1",
        comparison=told,
        verdict=judge(told, settings.gate, headline="ap50", latency=(0.0213, 0.0224)),
        latency=(0.0213, 0.0224),
        data=learnt(),
        run=run,
        settings=settings,
        command=command,
        by=f"ana {HOSTILE}",
    )
    return replace(told_report, **changes)
