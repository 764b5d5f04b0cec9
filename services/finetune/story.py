"""The story of the job: read -> train -> check -> publish -> push.

read      data in the field's formats; broken rows are named; a seeded share is kept for validation
train     the task teaches a copy of the base; neither a kill nor a SIGTERM loses more than the last few steps
check     what serves now and the new version are judged on the new data and on the old; the gate decides
publish   files, report and model card become a version that nobody can change, and `candidate` points at it
push      all running replicas prepare it, and take it over together if all agree
"""

from pathlib import Path

import torch

from services.finetune.comparison import Comparison
from services.finetune.errors import GateError
from services.finetune.gate import judge
from services.finetune.job import Checked, Job, await_data, begin, first_process
from services.finetune.latency import latency
from services.finetune.publish import publish
from services.finetune.push import push
from services.finetune.reading import Read, read
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Task


def run(task: Task, settings: JobSettings) -> int:
    """Tell the story; returns the exit code. Raises `JobError`, `StoreError`, and `Stopped` after SIGTERM."""
    torch.set_num_threads(settings.threads)
    job = begin(task, settings)
    if not first_process():
        await_data(job.run)
    data = read(task, job.settings, job.run)
    if settings.dry_run:
        return tell(job, data)
    candidate = task.train(job.base, data.material, job.run, job.settings)
    if not first_process():
        return 0
    checked = check(job, data.material, candidate)
    identity = publish(job, data, checked)
    if not checked.verdict.passed and not job.settings.force:
        raise GateError(f"The gate refused {identity.model}@{identity.version}: it is published, and not pushed.")
    if job.settings.push:
        push(job, identity)
    return 0


def check(job: Job, material: Material, candidate: Path) -> Checked:
    """Judge what serves now and the new version, on the new data and on the old."""
    new, old = material.validation, material.old
    job.run.say(f"judging {job.served.model}@{job.served.version} and the new version on {len(new)} + {len(old)} rows")
    opened = job.task.open(job.served.path), job.task.open(candidate)
    judged = [version.evaluate(examples) for examples in (new, old) if examples for version in opened]
    before, after, old_before, old_after = [*judged, None, None][:4]
    assert before is not None and after is not None
    comparison = Comparison(before, after, old_before, old_after, new_examples=len(new), old_examples=len(old))
    seconds = latency(*opened, new)
    verdict = judge(comparison, job.settings.gate, headline=job.task.headline, latency=seconds)
    for line in str(verdict).splitlines():
        job.run.say(line)
    return Checked(comparison, seconds, verdict)


def tell(job: Job, data: Read) -> int:
    """What would happen, for `--dry-run`."""
    for name, value in job.task.estimate(job.base, data.material, job.settings).items():
        job.run.say(f"{name}: {value}")
    job.run.say(f"would publish {job.base.model}@{job.settings.version or job.run.id} in {job.store.url}")
    job.run.say("nothing was trained (--dry-run)")
    return 0
