"""Taking weights over: on the device thread, between two batches.

use(state) -> golden cases -> warm up, learning batch times -> serve      refused -> back to the weights before
"""

import time
from typing import Any

from shared.serving.batch import Lane
from shared.serving.model import Identity, RefusedWeights


def adopt(lane: Lane, state: Any, identity: Identity) -> None:
    """Serve `state` on `lane` from now on. Raises `RefusedWeights` when a golden case fails; the old goes on then."""
    try:
        lane.model.use(state)
        _self_test(lane)
    except BaseException:
        if lane.state is not None:
            lane.model.use(lane.state)
        raise
    lane.state, lane.identity = state, identity


def _self_test(lane: Lane) -> None:
    """Replay the golden cases, then warm up and learn the batch times that admission needs."""
    model = lane.model
    for number, case in enumerate(model.golden()):
        (result,) = model.predict([model.preprocess(case.item)])
        if (wrong := case.check(result)) is not None:
            raise RefusedWeights(f"golden case {number} of {lane.name}: {wrong}")
    features = model.preprocess(model.example())
    for size in model.warm_sizes(lane.queue.max_items):
        model.predict([features] * size)
        began = time.monotonic()
        model.predict([features] * size)
        lane.queue.times.observe(size, time.monotonic() - began)
