"""What the metrics tell of the weights in use: which they are, since when, and the memory that they are in."""

from functools import partial

from shared.serving.batch import Lane
from shared.serving.metrics import GPU_ALLOCATED, GPU_RESERVED, MODEL_INFO, MODEL_LOADED


def announce(lane: Lane) -> None:
    """Let the metrics tell of the weights that serve on `lane` now, and of no others."""
    assert lane.weights is not None
    model, identity = lane.weights.model, lane.weights.identity
    told = model.describe()
    MODEL_INFO.remove_by_labels({"model": lane.name})
    MODEL_INFO.labels(lane.name, identity.version, identity.digest, str(told["dtype"]), str(told["device"])).set(1)
    MODEL_LOADED.labels(lane.name).set(lane.since)
    if model.memory():
        _watch_memory(lane, str(told["device"]))


def _watch_memory(lane: Lane, device: str) -> None:
    """Ask whichever model serves: a gauge that held one would keep retired weights in memory."""

    def told(part: str) -> float:
        return float(lane.weights.model.memory()[part]) if lane.weights else 0.0

    GPU_ALLOCATED.labels(device).set_function(partial(told, "allocated"))
    GPU_RESERVED.labels(device).set_function(partial(told, "reserved"))
