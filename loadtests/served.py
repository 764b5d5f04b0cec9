"""The whole service against the bare model: what HTTP, decoding, queueing and batching leave of its throughput."""

from collections.abc import Iterator

from loadtests import bf16, full_size
from loadtests.full_size import FASTER_RCNN, SSD, Network
from loadtests.load import rate
from loadtests.processes import Bench
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios

SHARE, FASTER = Goal(0.92), Goal(2.5)


def measure(bench: Bench) -> Iterator[Figure]:
    """Served pictures per second as a share of the bare model's; a quick run leaves Faster R-CNN out."""
    for network in [SSD] if bench.quick else [SSD, FASTER_RCNN]:
        yield from _share(bench, network)
    yield _in_bf16(bench)


def _share(bench: Bench, network: Network) -> Iterator[Figure]:
    name = network.architecture
    values = _compare(bench, network, dtype="float32")
    yield Figure(f"{name} served / bare", "x", ratios(values["served"], values["bare"]), SHARE)
    yield Figure(f"{name} served", "1/s", values["served"])
    yield Figure(f"{name} bare", "1/s", values["bare"])


def _in_bf16(bench: Bench) -> Figure:
    name = "ssd300_vgg16 with dtype=auto / bare float32"
    gain = bf16.gain()
    if gain < bf16.PAYS:
        return Figure(name, "x", [], FASTER, f"not measurable on this CPU: bf16 runs at {gain:.2f} x float32")
    values = _compare(bench, SSD, dtype="auto")
    return Figure(name, "x", ratios(values["served"], values["bare"]), FASTER)


def _compare(bench: Bench, network: Network, *, dtype: str) -> dict[str, list[float]]:
    seconds = bench.seconds(network.seconds)
    service = full_size.serve(bench, network, dtype=dtype)
    served = rate(service, full_size.load(clients=network.clients, seconds=seconds))
    return interleave({"served": served, "bare": full_size.bare(bench, network).rate(seconds)}, bench.rounds)
