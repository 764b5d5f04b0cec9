"""The fourth part of the story: the candidate with its report and model card -> a version, and the alias on it.

What an adapter has learnt becomes a version beside it.
"""

import shutil
import sys

from services.finetune import adapters
from services.finetune.card import card, readme
from services.finetune.job import Checked, Job
from services.finetune.reading import Read
from services.finetune.report.content import Learnt, Report
from services.finetune.report.page import write
from shared.serving.model import Identity
from shared.who import user


def publish(job: Job, data: Read, checked: Checked) -> Identity:
    """Publish what was made, whatever the gate says. Raises `VersionExists`, `RefusedVersion`, `AliasMoved`."""
    report = reported(job, data, checked)
    page = write(report, job.run.report)
    candidate = job.run.candidate
    (candidate / "README.md").write_text(readme(report), encoding="utf-8")
    for file in (page, page.with_suffix(".json")):
        shutil.copy(file, candidate / file.name)
    identity = job.store.publish(candidate, card(report))
    job.run.say(f"published {identity.model}@{identity.version} {identity.digest[:19]}; report: {page}")
    if job.settings.lora:
        _publish_adapter(job, identity)
    if report.decision != "failed":
        at = job.store.aliases(identity.model).get("candidate")
        expected = at.version if at else None
        job.store.move_alias(identity.model, "candidate", identity.version, expected=expected, by=report.by)
    return identity


def _publish_adapter(job: Job, identity: Identity) -> None:
    merged = job.store.fetch(f"{identity.model}@{identity.version}", job.settings.state / "cache")
    found = adapters.publish(job.store, job.task.name, base=job.base, adapter=job.run.folder / "adapter", merged=merged)
    job.run.say(f"published its adapter as {found.model}@{found.version} {found.digest[:19]}")


def reported(job: Job, data: Read, checked: Checked) -> Report:
    """What the report tells of a run."""
    settings, material = job.settings, data.material
    counts = {name: len(getattr(material, name)) for name in ("train", "validation", "replay", "old")}
    return Report(
        task=job.task.name,
        headline=job.task.headline,
        base=job.base,
        served=job.served,
        version=settings.version or job.run.id,
        comparison=checked.comparison,
        verdict=checked.verdict,
        latency=checked.latency,
        data=Learnt(data.description, data.sha256, counts, data.statistics, data.problems),
        run=job.run,
        settings=settings,
        command=["ocelli", *sys.argv[1:]],
        by=settings.by or user(),
    )
