"""What the metrics tell of the weights in use: which they are, since when, and the memory that they are in."""

from functools import partial

from shared.serving.batch import Lane
from shared.serving.metrics import GPU_ALLOCATED, GPU_RESERVED, MODEL_INFO, MODEL_LOADED


class Announcements:
    """The weights of each lane as the metrics show them; only those in use have a series."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, ...]] = {}

    def show(self, lane: Lane) -> None:
        """Let the metrics tell of the weights that serve on `lane` now, and of no others."""
        assert lane.weights is not None
        model, identity = lane.weights.model, lane.weights.identity
        told = model.describe()
        labels = (lane.name, identity.version, identity.digest, str(told["dtype"]), str(told["device"]))
        if lane.name in self._shown:
            MODEL_INFO.remove(*self._shown[lane.name])
        elif model.memory():
            _watch_memory(lane, str(told["device"]))
        MODEL_INFO.labels(*labels).set(1)
        MODEL_LOADED.labels(lane.name).set(lane.since)
        self._shown[lane.name] = labels


def _watch_memory(lane: Lane, device: str) -> None:
    """The memory is the process's, so any model tells it; the lane is asked which one there is."""

    def told(part: str) -> float:
        return float(lane.weights.model.memory()[part]) if lane.weights else 0.0

    GPU_ALLOCATED.labels(device).set_function(partial(told, "allocated"))
    GPU_RESERVED.labels(device).set_function(partial(told, "reserved"))
