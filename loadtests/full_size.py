"""Full-size detectors with random weights: the true cost of computing, without a download.

torchvision's constructor -> state dict -> `ocelli models import` -> a service with it, and a bare model beside it
"""

from dataclasses import dataclass
from pathlib import Path

from loadtests.house import LONG_S, publish
from loadtests.load import Load
from loadtests.opponent import Opponent
from loadtests.pictures import photographs
from loadtests.processes import Bench, Child
from loadtests.questions import THRESHOLD


@dataclass(frozen=True, slots=True)
class Network:
    """A detector of torchvision, the name that it is served under, and what one round of it takes."""

    architecture: str
    model: str
    clients: int
    seconds: float


SSD = Network("ssd300_vgg16", "ssd", clients=8, seconds=6)
FASTER_RCNN = Network("fasterrcnn_resnet50_fpn_v2", "faster-rcnn", clients=4, seconds=10)


def load(*, clients: int, seconds: float) -> Load:
    """Photographs to detect in."""
    return Load(clients, seconds, photographs(), query=f"?threshold={THRESHOLD}", answer=None)


def serve(bench: Bench, network: Network, *, dtype: str = "float32") -> Child:
    """The detection service with `network` alone, on one thread."""
    store = publish(bench, _weights(bench, network), network.model, "--architecture", network.architecture)
    settings = {"store": store, "models": network.model, "dtype": dtype, "threads": 1, "deadline_s": LONG_S}
    return bench.start("services.detection", **settings)


def bare(bench: Bench, network: Network) -> Opponent:
    """torchvision's own model."""
    return Opponent.start(bench, network.architecture, weights=_weights(bench, network))


def _weights(bench: Bench, network: Network) -> Path:
    import torch  # here alone: the load generator needs none of it

    from loadtests.pipelines import build

    path = bench.folder / f"{network.architecture}.pth"
    if not path.exists():
        torch.save(build(network.architecture).state_dict(), path)
    return path
