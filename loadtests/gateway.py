"""The gateway: what a request costs it, and that it does not slow a busy service down."""

from collections.abc import Iterator

from loadtests import full_size
from loadtests.front import IDENTITY
from loadtests.load import Load, cpu_ms, rate
from loadtests.processes import Bench
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios

STEP_MS, BATCH = 25, 8
THROUGHPUT = Goal(0.95)


def measure(bench: Bench) -> Iterator[Figure]:
    """CPU time per request, and throughput through the gateway as a share of direct."""
    yield from _cpu(bench)
    yield from _throughput(bench)
    if not bench.quick:
        yield _throughput_of_ssd(bench)


def _cpu(bench: Bench) -> Iterator[Figure]:
    load = Load(clients=16, seconds=bench.seconds(3))
    service = bench.start(IDENTITY, step_ms=0)
    loud, quiet = (bench.start("services.gateway", detection=service.url, log_level=s) for s in ("info", "error"))
    floor = bench.start("loadtests.floor")
    contenders = {"info": cpu_ms(loud, load), "error": cpu_ms(quiet, load), "floor": cpu_ms(floor, load)}
    values = interleave(contenders, bench.rounds)
    yield Figure("gateway, CPU per request", "ms", values["info"], Goal(0.25, most=True))
    yield Figure("gateway without request logs, CPU per request", "ms", values["error"])
    yield Figure("bare FastAPI, CPU per request", "ms", values["floor"])
    yield Figure("gateway / bare FastAPI", "x", ratios(values["info"], values["floor"]))


def _throughput(bench: Bench) -> Iterator[Figure]:
    load = Load(clients=32, seconds=bench.seconds(4))
    service = bench.start(IDENTITY, step_ms=STEP_MS, max_batch=BATCH)
    gateway = bench.start("services.gateway", detection=service.url)
    values = interleave({"direct": rate(service, load), "gateway": rate(gateway, load)}, bench.rounds)
    ideal = BATCH * 1000 / STEP_MS
    shares = ratios(values["gateway"], values["direct"])
    yield Figure("through the gateway / direct, 25 ms model", "x", shares, THROUGHPUT)
    yield Figure("device in use, direct, 25 ms model", "x", [value / ideal for value in values["direct"]])


def _throughput_of_ssd(bench: Bench) -> Figure:
    load = full_size.load(clients=32, seconds=bench.seconds(4))
    service = full_size.serve(bench, full_size.SSD)
    gateway = bench.start("services.gateway", detection=service.url, deadline_s=600, try_s=600, idle_s=600)
    values = interleave({"direct": rate(service, load), "gateway": rate(gateway, load)}, bench.rounds)
    return Figure(
        "through the gateway / direct, full-size SSD", "x", ratios(values["gateway"], values["direct"]), THROUGHPUT
    )
