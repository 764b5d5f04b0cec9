"""The replicas that one command means, and the key that they ask for.

addresses, or the services of this machine that serve the model -> Fleet
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.admin_key import NAME, read
from shared.rollout.errors import RolloutError
from shared.rollout.fleet import Fleet, Say
from shared.rollout.replicas import local, named


@asynccontextmanager
async def reach(model: str, *, addresses: str | None, state: Path, by: str, say: Say) -> AsyncIterator[Fleet]:
    """The replicas at `addresses`, or those of this machine that serve `model`. Raises `RolloutError`.

    The key is that of `OCELLI_ADMIN_KEY_FILE`, or of the local run in `state`.
    """
    key = _key(state)
    if addresses:
        replicas = named(addresses)
    else:
        async with Fleet(local(), key=key, by="") as everybody:
            replicas = await everybody.serving(model)
    async with Fleet(replicas, key=key, by=by[:200], say=say) as fleet:
        yield fleet


def _key(state: Path) -> str:
    file = Path(os.environ.get("OCELLI_ADMIN_KEY_FILE") or state / NAME)
    key = read(file)
    if key is None:
        raise RolloutError(f"There is no admin key in {file}. Start a service, or set OCELLI_ADMIN_KEY_FILE.")
    return key
