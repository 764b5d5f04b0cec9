"""LLaVA through the gateway: many answers at once against `generate`, first words, steadiness, the price of a chunk.

shipped weights -> throughput, gaps, CPU     random weights that see 576 tokens in a picture -> time to the first token
"""

import json
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from loadtests import pretrained
from loadtests.conversations import TEXTS, Question, end_mark, letter, mixed, spelt
from loadtests.house import Pair, Weights, pair, shipped
from loadtests.pictures import shapes
from loadtests.processes import Bench, Worker
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios
from loadtests.streams import answered, answered_amid

STREAMS = 8
ALONE, BATCHED = Goal(3), Goal(1.5)
REPEATED, STEADY, CHUNK = Goal(0.35, most=True), Goal(3, most=True), Goal(45, most=True)
COMING = 100  # more pictures than come while the streams are told
AMID, FIRST = 1_000_000, 2_000_000  # seeds of pictures that nobody else shows
AMONG = "LLaVA, 8 streams while new pictures come"


def measure(bench: Bench) -> Iterator[Figure]:
    """Tokens per second, gaps and CPU time of the shipped LLaVA; the first token of a larger picture."""
    weights = Weights(shipped("llava"), None)
    house = pair(bench, "llava", weights, dtype="float32")
    token = letter(weights.folder)
    yield from _throughput(bench, house, weights.folder)
    yield from _gaps(bench, house, token)
    yield from _cpu(bench, house, token)
    if bench.quick:
        yield from _first(bench, house, token)
        return
    wide = Weights.of(bench, "llava", pretrained.llava)
    yield from _first(bench, pair(bench, "llava", wide, dtype="float32"), letter(wide.folder))


def _throughput(bench: Bench, house: Pair, folder: Path) -> Iterator[Figure]:
    worker = bench.work("loadtests.generation", str(folder))
    size = STREAMS if bench.quick else 6 * STREAMS
    contenders = {
        "served": _served(house, size, end=end_mark(folder)),
        "alone": _generated(worker, size, batch=1),
        "batched": _generated(worker, size, batch=STREAMS),
    }
    values = interleave(contenders, bench.rounds)
    yield Figure("LLaVA, 8 streams / generate, one by one", "x", ratios(values["served"], values["alone"]), ALONE)
    yield Figure("LLaVA, 8 streams / generate, 8 at a time", "x", ratios(values["served"], values["batched"]), BATCHED)
    yield Figure("LLaVA, 8 streams", "tokens/s", values["served"])
    yield Figure("LLaVA, generate, one by one", "tokens/s", values["alone"])
    yield Figure("LLaVA, generate, 8 at a time", "tokens/s", values["batched"])


def _served(house: Pair, size: int, *, end: int) -> Callable[[], float]:
    turns = count()

    def measure() -> float:
        questions = mixed(size, turn=next(turns), end=end)
        _, seconds = answered(house.gateway.url, questions, clients=STREAMS)
        return sum(each.tokens for each in questions) / seconds

    return measure


def _generated(worker: Worker, size: int, *, batch: int) -> Callable[[], float]:
    turns = count()

    def measure() -> float:
        done = json.loads(worker.ask(json.dumps({"count": size, "turn": next(turns), "batch": batch})))
        return float(done["tokens"] / done["seconds"])

    return measure


def _gaps(bench: Bench, house: Pair, token: int) -> Iterator[Figure]:
    runs, length = (1, 200) if bench.quick else (2, 600)
    seeds = count(AMID)
    rounds = []
    for _ in range(1 + bench.rounds):
        coming = [[spelt(token, 4, shapes(seed)) for seed in islice(seeds, COMING)] for _ in range(runs)]
        lasting = [spelt(token, length)] * STREAMS
        rounds.append([gap for each in coming for gap in answered_amid(house.gateway.url, lasting, each)])
    medians, late = ([quantiles(gaps, n=100)[at] for gaps in rounds[1:]] for at in (49, 98))
    yield Figure(f"{AMONG}: p99 of gaps / their median", "x", ratios(late, medians), STEADY)
    yield Figure(f"{AMONG}: median gap", "ms", [gap * 1000 for gap in medians])


def _cpu(bench: Bench, house: Pair, token: int) -> Iterator[Figure]:
    questions = [spelt(token, 64)] * 2 * STREAMS if bench.quick else [spelt(token, 256)] * 6 * STREAMS
    values = [_prices(house, questions) for _ in range(1 + bench.rounds)][1:]
    yield Figure("gateway, CPU per chunk of a stream", "µs", [each.gateway for each in values], CHUNK)
    yield Figure("LLaVA's front, CPU per chunk of a stream", "µs", [each.front for each in values])
    yield Figure("LLaVA, CPU per chunk of a stream", "µs", [each.service for each in values])


class Prices(NamedTuple):
    """CPU microseconds of a chunk: in the gateway, in the service's thread for HTTP, in the whole service."""

    gateway: float
    front: float
    service: float


def _prices(house: Pair, questions: Sequence[Question]) -> Prices:
    before = _spent(house)
    told, _ = answered(house.gateway.url, questions, clients=2 * STREAMS)
    chunks = sum(len(each.pieces) for each in told)
    return Prices(*((after - since) * 1e6 / chunks for after, since in zip(_spent(house), before, strict=True)))


def _spent(house: Pair) -> tuple[float, float, float]:
    return house.gateway.cpu, house.service.http_cpu, house.service.cpu


def _first(bench: Bench, house: Pair, token: int) -> Iterator[Figure]:
    seeds, size = count(FIRST), 4 if bench.quick else 12
    rounds = [_firsts(house, token, list(islice(seeds, size))) for _ in range(1 + bench.rounds)][1:]
    new, again = ([each[at] for each in rounds] for at in (0, 1))
    yield Figure("LLaVA, first token, repeated picture / new one", "x", ratios(again, new), REPEATED)
    yield Figure("LLaVA, first token, new picture", "ms", [each * 1000 for each in new])


def _firsts(house: Pair, token: int, seeds: Sequence[int]) -> tuple[float, float]:
    """Median seconds to the first token of a new picture, and of the same one with another question."""
    pictures = [shapes(seed) for seed in seeds]
    asked = [spelt(token, 2, picture, text=text) for picture in pictures for text in TEXTS[:2]]
    told, _ = answered(house.gateway.url, asked, clients=1)
    firsts = [each.first for each in told]
    return median(firsts[::2]), median(firsts[1::2])
