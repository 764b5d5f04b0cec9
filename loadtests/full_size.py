"""Full-size detectors with random weights: the true cost of computing, without a download.

torchvision's constructor -> state dict -> `ocelli models import` -> a service with it, and a bare model beside it
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.load import Load
from loadtests.pictures import photograph
from loadtests.processes import Bench, Child

OCELLI = Path(sys.executable).with_name("ocelli")
PICTURES = 16
THRESHOLD = 0.9  # nearly nothing of random weights passes, in the service and in the bare model alike
LONG_S = 600


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
    bodies = [photograph(seed) for seed in range(PICTURES)]
    return Load(clients, seconds, bodies, query=f"?threshold={THRESHOLD}", answer=None)


def serve(bench: Bench, network: Network, *, dtype: str = "float32") -> Child:
    """The detection service with `network` alone, on one thread."""
    store = bench.folder / "store"
    if not (store / "models" / network.model).exists():
        command = [str(OCELLI), "models", "import", str(_weights(bench, network)), "--store", str(store)]
        command += ["--as", network.model, "--architecture", network.architecture, "--champion"]
        publishing = bench.run(command)
        publishing.wait(lambda: publishing.wrote(f"{network.model}@champion ->"))
    settings = {"store": store, "models": network.model, "dtype": dtype, "threads": 1, "deadline_s": LONG_S}
    return bench.start("services.detection", **settings)


def bare(bench: Bench, network: Network, seconds: float) -> Callable[[], float]:
    """A measurement: pictures per second of the bare model."""
    arguments = ["--architecture", network.architecture, "--weights", str(_weights(bench, network))]
    worker = bench.work("loadtests.bare", *arguments, "--threshold", str(THRESHOLD))

    def measure() -> float:
        done = json.loads(worker.ask(str(seconds)))
        return float(done["pictures"]) / float(done["seconds"])

    return measure


def _weights(bench: Bench, network: Network) -> Path:
    import torch  # here alone: the load generator needs none of it

    from loadtests.bare import build

    path = bench.folder / f"{network.architecture}.pth"
    if not path.exists():
        torch.save(build(network.architecture).state_dict(), path)
    return path
