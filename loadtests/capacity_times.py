"""Seconds per batch, measured over HTTP: clients that keep a service busy, and its own count of batches.

n clients, each asking again at once -> answers per second, mean batch size (/metrics) -> seconds per batch of that size
one client -> seconds of the forward pass alone, and what a request takes besides
"""

import json
import re
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from loadtests.capacity_queue import Service
from loadtests.load import Load
from loadtests.locust.scenarios import JPEG, WORDS
from loadtests.pictures import photographs

CLIENTS = (1, 2, 4, 8, 16, 32)


class Point(NamedTuple):
    """A mean batch size, and the seconds of device that such a batch takes."""

    size: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked for a measurement: the service that promises, its model, and the path."""

    service: str
    model: str
    path: str


TARGETS: Mapping[str, Target] = {
    "ssd": Target("detection", "ssd", "/v1/detect?model=ssd"),
    "faster-rcnn": Target("detection", "faster-rcnn", "/v1/detect?model=faster-rcnn"),
    "clip-pictures": Target("clip", "clip", "/v1/embeddings"),
    "owlvit": Target("owlvit", "owlvit", f"/v1/detect/open?{WORDS}"),
}


class Counts(NamedTuple):
    """Counters of a model: batches, their items, and forward seconds summed over items."""

    batches: float
    items: float
    forward: float

    @classmethod
    def of(cls, management: str, model: str) -> "Counts":
        """As the management port at `management` tells them now."""
        with urllib.request.urlopen(f"{management}/metrics", timeout=10) as response:
            text = response.read().decode()
        size, stage = "ocelli_inference_batch_size", "ocelli_inference_stage_duration_seconds"
        forward = f'{stage}_sum{{model="{model}",stage="forward"}}'
        names = (f'{size}_count{{model="{model}"}}', f'{size}_sum{{model="{model}"}}', forward)
        found = (re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE) for name in names)
        return cls(*(float(match[1]) if match else 0.0 for match in found))


def measure(url: str, management: str, target: Target, seconds: float) -> Service:
    """Ask `target` at `url` with more and more clients; its service's metrics are at `management`."""
    points, delay = [Point(0, 0)], 0.0
    for clients in CLIENTS:
        load = Load(clients, seconds, photographs(32), path=target.path, headers=JPEG, answer=None)
        load.on(url) if clients == 1 else None  # the first round warms up
        before = Counts.of(management, target.model)
        done = load.on(url)
        batches, items, forward = (b - a for a, b in zip(before, Counts.of(management, target.model), strict=True))
        size, alone = items / batches, forward / items
        if clients == 1:
            delay = max(0.0, median(done.waits) - alone)
        elif size <= points[-1].size * 1.1:
            points.pop()  # the batch is no larger, so this is the same point with the device kept busier
        points.append(Point(size, alone if clients == 1 else size * done.seconds / done.answered))
    return Service(spread(points[1:]), delay)


def spread(points: Sequence[Point]) -> list[float]:
    """Seconds for each whole batch size up to the largest, along straight lines between the points."""
    largest = max(1, round(points[-1].size))
    lines = list(pairwise(points)) or [(Point(0, 0), points[0])]

    def at(size: int) -> float:
        (left, right) = next((line for line in lines if size <= line[1].size), lines[-1])
        return left.seconds + (size - left.size) * (right.seconds - left.seconds) / (right.size - left.size)

    return [at(size) for size in range(1, largest + 1)]


def write(path: Path, name: str, service: Service) -> None:
    """Keep a measurement as JSON, which people may write as well."""
    times = {str(size): round(seconds, 6) for size, seconds in enumerate(service.seconds, 1)}
    told = {"service": TARGETS[name].service, "seconds": times, "delay": round(service.delay, 6)}
    path.write_text(json.dumps({**told, "places": service.places, "deadline": service.deadline}, indent=2) + "\n")


def read(path: Path) -> tuple[str, Service]:
    """The service that promises, and a measurement. Raises `ValueError` with what is wrong."""
    try:
        told = json.loads(path.read_bytes())
        times = {int(size): float(seconds) for size, seconds in told["seconds"].items()}
        if min(times) != 1 or min(times.values()) <= 0:
            raise ValueError("'seconds' must begin with a batch of 1, and be more than 0")
        points = [Point(size, seconds) for size, seconds in sorted(times.items())]
        rest = {name: told[name] for name in ("delay", "places", "deadline") if name in told}
        return str(told["service"]), Service(spread(points), **rest)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it lacks {error}, or has something else in its place") from None
