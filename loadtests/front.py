"""The front of a model service: what it costs to take a picture in and to answer, without a model."""

from collections.abc import Iterator

from loadtests.load import Load, cpu_ms
from loadtests.processes import Bench
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios

IDENTITY = "tests.e2e.identity"  # our serving core around a model that answers the number in its input


def measure(bench: Bench) -> Iterator[Figure]:
    """CPU time of the service per request of 84 kB, beside that of a bare FastAPI application."""
    load = Load(clients=16, seconds=bench.seconds(3))
    front, floor = bench.start(IDENTITY, step_ms=0), bench.start("loadtests.floor")
    values = interleave({"front": cpu_ms(front, load), "floor": cpu_ms(floor, load)}, bench.rounds)
    yield Figure("service front, CPU per request", "ms", values["front"], Goal(0.35, most=True))
    yield Figure("bare FastAPI, CPU per request", "ms", values["floor"])
    yield Figure("service front / bare FastAPI", "x", ratios(values["front"], values["floor"]))
