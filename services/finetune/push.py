"""The last part of the story: all running replicas prepare the new version, and take it over together."""

import asyncio

from services.finetune.errors import JobError
from services.finetune.job import Job
from shared.rollout.errors import RolloutError
from shared.rollout.push import Outcome
from shared.rollout.push import push as push_all
from shared.rollout.reach import reach
from shared.serving.model import Identity
from shared.who import user


def push(job: Job, identity: Identity) -> None:
    """Serve the version on every replica. Raises `JobError` with what refused it, and `AliasMoved`."""
    try:
        outcome = asyncio.run(_push(job, identity))
    except RolloutError as error:
        again = f"ocelli models push {identity.model}@{identity.version}"
        raise JobError(f"{error}\nThe version is published. Try again with: {again}") from error
    serving = len(outcome.replies) - len(outcome.late)
    job.run.say(f"{identity.model}@champion -> {identity.version}  (was {outcome.before or 'not set'})")
    if outcome.kept:
        kept = f"{identity.model}@{outcome.kept}"
        job.run.say(f"{kept} serves on for its space, until: ocelli models retire {kept}")
    job.run.say(
        f"it serves on {serving} of {len(outcome.replies)} replicas; back: ocelli models rollback {identity.model}"
    )


async def _push(job: Job, identity: Identity) -> Outcome:
    settings = job.settings
    by = settings.by or user()
    async with reach(
        identity.model, addresses=settings.replicas, state=settings.state, by=by, say=job.run.say
    ) as fleet:
        return await push_all(job.store, identity.model, identity.version, fleet=fleet, new_space=settings.new_space)
