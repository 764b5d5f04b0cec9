"""LLaVA-1.5-7B's architecture with random weights on a GPU: the service beside `generate` on the same card.

random network, made on the GPU -> a directory -> our import -> service and gateway; `generate` as a worker
    -> tokens per second of 32 answers at once, of one, of 16 to 256 of all lengths -> ratios
    -> bytes that a step of 32 must read / its time -> share of what the card's memory can deliver

Needs a CUDA GPU with 80 GB, and 50 GB of disk; elsewhere it says so. A quick run shows the shipped model on any device.
"""

import json
import time
from collections.abc import Callable, Iterator
from itertools import count, pairwise
from pathlib import Path
from statistics import median
from typing import Any

from loadtests import pretrained
from loadtests.conversations import Question, end_mark, letter, mixed, spelt
from loadtests.house import Pair, Weights, pair
from loadtests.pictures import shapes
from loadtests.processes import Bench, Worker
from loadtests.report import Figure, Goal
from loadtests.rounds import interleave, ratios
from loadtests.streams import answered

SEVEN: dict[str, Any] = {
    "vision_config": {
        "image_size": 336, "patch_size": 14, "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
        "num_attention_heads": 16, "projection_dim": 768,
    },
    "text_config": {
        "model_type": "llama", "vocab_size": 32_064, "hidden_size": 4096, "intermediate_size": 11_008,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "max_position_embeddings": 4096,
    },
}  # fmt: skip
TOGETHER, STATIC = 32, 32  # answers at once; the most that `generate` has room for in one batch
MIXED = (16, 64, 256)
TWICE, SHARE, ALONE = Goal(2), Goal(0.55), Goal(140)
KV_MB = 34_000  # for keys and values of the service: 32 dense rows of 1,024 tokens, and as much again in blocks
NEW = 3_000_000  # seeds of pictures that nobody else shows


def measure(bench: Bench) -> Iterator[Figure]:
    """Ratios to `generate`, tokens per second, and the share of the memory's bandwidth."""
    import torch  # here alone: other sections need none of it

    there = torch.cuda.is_available()
    if not (there or bench.quick):
        yield Figure("LLaVA-1.5-7B on a GPU", "x", [], TWICE, "needs a CUDA GPU with 80 GB: there is none here")
        return
    device = "cuda" if there else "cpu"
    weights = Weights.of(bench, "llava", lambda folder: _written(folder, device))
    house = pair(bench, "llava", weights, max_batch=max(MIXED), **({"kv_memory_mb": KV_MB} if there else {}))
    worker = bench.work("loadtests.generation", str(weights.folder), device)
    yield from _together(bench, house, worker, weights.folder)
    yield from _pace(bench, house, weights.folder, device)
    for size in MIXED[:1] if bench.quick else MIXED:
        yield from _mixed(bench, house, worker, weights.folder, size)


def _written(folder: Path, device: str) -> Path:
    import torch

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            return pretrained.llava(folder, **SEVEN)
    finally:
        torch.set_default_dtype(usual)
        torch.cuda.empty_cache()


def _together(bench: Bench, house: Pair, worker: Worker, folder: Path) -> Iterator[Figure]:
    size, tokens = (4, 8) if bench.quick else (TOGETHER, 128)
    contenders = {
        "served": _served(house, folder, count=size, clients=size, tokens=tokens),
        "generate": _generated(worker, count=size, batch=size, tokens=tokens),
    }
    values = interleave(contenders, bench.rounds)
    yield Figure(
        f"{size} answers / generate, {size} at a time", "x", ratios(values["served"], values["generate"]), TWICE
    )
    yield Figure(f"{size} answers", "tokens/s", values["served"])
    yield Figure(f"generate, {size} at a time", "tokens/s", values["generate"])


def _mixed(bench: Bench, house: Pair, worker: Worker, folder: Path, size: int) -> Iterator[Figure]:
    many, batch = (size, 4) if bench.quick else (3 * size, min(size, STATIC))
    contenders = {
        "served": _served(house, folder, count=many, clients=size, tokens=0),
        "static": _generated(worker, count=many, batch=batch, tokens=0),
    }
    values = interleave(contenders, bench.rounds)
    name = f"{size} streams of all lengths"
    yield Figure(f"{name} / generate, {batch} at a time", "x", ratios(values["served"], values["static"]), TWICE)
    yield Figure(name, "tokens/s", values["served"])


def _served(house: Pair, folder: Path, *, count: int, clients: int, tokens: int) -> Callable[[], float]:
    turns, end = iter(range(10**6)), end_mark(folder)

    def measure() -> float:
        questions = mixed(count, turn=next(turns), end=end, tokens=tokens)
        _, seconds = answered(house.gateway.url, questions, clients=clients)
        return sum(each.tokens for each in questions) / seconds

    return measure


def _generated(worker: Worker, **wanted: int) -> Callable[[], float]:
    turns = iter(range(10**6))

    def measure() -> float:
        done = json.loads(worker.ask(json.dumps({**wanted, "turn": next(turns)})))
        return float(done["tokens"] / done["seconds"])

    return measure


def _pace(bench: Bench, house: Pair, folder: Path, device: str) -> Iterator[Figure]:
    """The pace of steps: between two tokens of one answer, alone and among 32."""
    rows, tokens = (4, 16) if bench.quick else (TOGETHER, 128)
    token, seeds = letter(folder), count(NEW)
    network = json.loads((folder / "config.json").read_bytes())
    alone, among, shares = list[float](), list[float](), list[float]()
    for _ in range(1 + bench.rounds):
        alone.append(_gap(house, [spelt(token, tokens, shapes(next(seeds)))]))
        asked = [spelt(token, tokens, shapes(next(seeds))) for _ in range(rows)]
        among.append(_gap(house, asked))
        pace = step_bytes(network, rows, _context(network, asked[0]), size=2 if device == "cuda" else 4) / among[-1]
        shares.append(pace / bandwidth(device))
    note = "weights, keys and values once a step / a copy's bytes a second, read and written"
    yield Figure(f"{rows} answers, share of the memory's bandwidth", "x", shares[1:], SHARE, note)
    yield Figure(f"{rows} answers, median gap", "ms", [gap * 1000 for gap in among[1:]])
    yield Figure("one answer", "tokens/s", [1 / gap for gap in alone[1:]], ALONE)


def _gap(house: Pair, questions: list[Question]) -> float:
    """Median seconds between two tokens, from when all speak until the first has ended."""
    told, _ = answered(house.gateway.url, questions, clients=len(questions))
    since, until = max(each.first + each.asked for each in told), min(each.pieces[-1] for each in told)
    gaps = [gap for each in told for gap in each.gaps(since, until)]
    return median(gaps or [after - before for each in told for before, after in pairwise(each.pieces)])


def _context(network: Any, question: Question) -> float:
    """Tokens that a step reads of one sequence, in the middle of its answer; each byte of a text is a token."""
    vision = network["vision_config"]
    return float((vision["image_size"] // vision["patch_size"]) ** 2 + len(question.prompt) + question.tokens / 2)


def step_bytes(network: Any, rows: int, context: float, *, size: int) -> float:
    """Bytes that a step of `rows` sequences must read at least: all layers and the head, and `context` tokens of each.

    `size` is that of a number. Embeddings are left out: a step reads a line of them for each row.
    """
    text = network["text_config"]
    hidden, layers = text["hidden_size"], text["num_hidden_layers"]
    shared = hidden * text.get("num_key_value_heads", text["num_attention_heads"]) // text["num_attention_heads"]
    layer = 2 * hidden * hidden + 2 * hidden * shared + 3 * hidden * text["intermediate_size"]
    kept = 2 * layers * shared * context * rows
    return float(size * (layers * layer + hidden * text["vocab_size"] + kept))


def bandwidth(device: str) -> float:
    """Bytes a second that the device's memory delivers: the best of several copies, read and written."""
    import torch

    source = torch.ones(2**28 if device == "cuda" else 2**22, device=device)
    target, best = torch.empty_like(source), float("inf")
    for _ in range(5):
        _settle(device)
        began = time.monotonic()
        target.copy_(source)
        _settle(device)
        best = min(best, time.monotonic() - began)
    return 2 * source.nbytes / best


def _settle(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
