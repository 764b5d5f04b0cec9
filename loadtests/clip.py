"""CLIP through the gateway against the pipeline that a script would write: full size, JPEGs in, vectors out."""

from collections.abc import Callable, Iterator
from importlib.util import find_spec

from loadtests import bf16, pretrained
from loadtests.house import Weights, serve
from loadtests.load import Load, median_ms, rate
from loadtests.opponent import Opponent
from loadtests.pictures import photographs
from loadtests.processes import Bench, Child
from loadtests.report import Figure, Goal
from loadtests.rounds import differences, interleave, ratios

CLIENTS, BATCH = 32, 16
PLAIN, OPENVINO, BF16 = "CLIP, float32 / bare", "CLIP, OpenVINO in float32 / bare", "CLIP, dtype=auto / bare"
GOALS = {PLAIN: Goal(1.05), OPENVINO: Goal(1.25), BF16: Goal(3)}
IDLE = "CLIP, one idle client, median - bare batch of one"


def measure(bench: Bench) -> Iterator[Figure]:
    """Pictures per second as a share of the bare pipeline's, and what one client alone waits longer than it."""
    weights = Weights.of(bench, "clip", pretrained.clip)
    bare = Opponent.start(bench, "clip", weights=weights.folder)
    services = {PLAIN: _serve(bench, weights, dtype="float32")}
    missing = _missing(bench)
    if OPENVINO not in missing:
        services[OPENVINO] = _serve(bench, weights, dtype="float32", clip__backend="openvino")
    if BF16 not in missing:
        services[BF16] = _serve(bench, weights, dtype="auto")
    yield from _throughput(bench, services, bare)
    yield from (Figure(name, "x", [], GOALS[name], reason) for name, reason in missing.items())
    yield from _idle(bench, services[PLAIN], bare)
    if not bench.quick:
        yield _with_both_cores(bench, weights, bare)


def _missing(bench: Bench) -> dict[str, str]:
    """The contenders that do not run, and why."""
    missing, gain = {}, bf16.gain()
    if bench.quick:
        missing[OPENVINO] = "left out of a quick run: compiling takes longer than the rounds"
    elif find_spec("openvino") is None:
        missing[OPENVINO] = "the package openvino is not installed"
    if gain < bf16.PAYS:
        missing[BF16] = f"not measurable on this CPU: bf16 runs at {gain:.2f} x float32"
    return missing


def _throughput(bench: Bench, services: dict[str, Child], bare: Opponent) -> Iterator[Figure]:
    seconds = bench.seconds(8)
    contenders: dict[str, Callable[[], float]] = {
        name: rate(gateway, _load(CLIENTS, seconds)) for name, gateway in services.items()
    }
    values = interleave({**contenders, "bare": bare.rate(seconds, batch=BATCH)}, bench.rounds)
    for name in services:
        yield Figure(name, "x", ratios(values[name], values["bare"]), GOALS[name], "one thread each")
    yield Figure("CLIP, float32", "1/s", values[PLAIN])
    yield Figure("CLIP, bare", "1/s", values["bare"])


def _idle(bench: Bench, gateway: Child, bare: Opponent) -> Iterator[Figure]:
    seconds = bench.seconds(4)
    contenders = {"served": median_ms(gateway, _load(1, seconds)), "bare": bare.median_ms(seconds)}
    values = interleave(contenders, bench.rounds)
    yield Figure(IDLE, "ms", differences(values["served"], values["bare"]), Goal(8, most=True))
    yield Figure("CLIP, bare batch of one, median", "ms", values["bare"])


def _with_both_cores(bench: Bench, weights: Weights, bare: Opponent) -> Figure:
    seconds = bench.seconds(8)
    gateway = _serve(bench, weights, dtype="float32", threads=2)
    contenders = {
        "served": rate(gateway, _load(CLIENTS, seconds)),
        "bare": bare.rate(seconds, batch=BATCH, threads=2),
    }
    values = interleave(contenders, bench.rounds)
    return Figure(f"{PLAIN}, two threads each", "x", ratios(values["served"], values["bare"]))


def _serve(bench: Bench, weights: Weights, *, threads: int = 1, **settings: object) -> Child:
    return serve(bench, "clip", weights, threads=threads, max_batch=BATCH, **settings)


def _load(clients: int, seconds: float) -> Load:
    return Load(clients, seconds, photographs(), path="/v1/embeddings", answer=None)
