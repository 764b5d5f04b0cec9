"""Versions that must not serve, of each model: refused before anybody is answered by them, and the old serve on."""

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from services.clip.model import Clip
from services.detection.model import Detector
from services.llava.model import Llava
from services.owlvit.model import OwlVit
from shared.serving.batch import AnyModel, Lane
from shared.serving.engine import Engine
from shared.serving.model import RefusedWeights
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from shared.serving.stream import StreamLane
from shared.serving.swap import Swaps
from shared.weights.manifest import MANIFEST, Card, Made
from shared.weights.store import Store
from tests.e2e.versions import store_with

torch.set_num_threads(1)
CPU = torch.device("cpu")
MODELS: dict[str, Callable[[torch.device], AnyModel]] = {
    "clip": Clip, "owlvit": OwlVit, "ssd": Detector, "mask-rcnn": Detector, "llava": Llava,
}  # fmt: skip
Tensors = dict[str, Tensor]


def largest(tensors: Tensors) -> str:
    """The name of the largest tensor that no other stands in for, as embeddings do for the head."""
    return max((name for name in tensors if "lm_head" not in name), key=lambda name: tensors[name].numel())


def first_number(value: float) -> Callable[[Tensors], Tensors]:
    def change(tensors: Tensors) -> Tensors:
        changed = tensors[largest(tensors)].clone()
        changed.view(-1)[0] = value
        return tensors | {largest(tensors): changed}

    return change


def scrambled(tensors: Tensors) -> Tensors:
    chance = torch.Generator().manual_seed(1)
    return {
        name: torch.randn(one.shape, generator=chance).to(one.dtype) * one.float().std(correction=0).to(one.dtype)
        if one.is_floating_point()
        else one
        for name, one in tensors.items()
    }


FAULTS: dict[str, Callable[[Tensors], Tensors]] = {
    "nan": first_number(float("nan")),
    "inf": first_number(float("inf")),
    "missing": lambda t: {name: one for name, one in t.items() if name != largest(t)},
    "extra": lambda t: t | {"extra": torch.zeros(1)},
    "renamed": lambda t: {f"{name}x" if name == largest(t) else name: one for name, one in t.items()},
    "shape": lambda t: t | {largest(t): t[largest(t)][:-1].clone()},
    "kind": lambda t: t | {largest(t): t[largest(t)].to(torch.int32)},
    "zeros": lambda t: {name: torch.zeros_like(one) for name, one in t.items()},
    "random": scrambled,
}


def publish(store: Store, model: str, fault: str) -> None:
    """A version with one fault; its bytes are those of its manifest, and its golden cases the champion's."""
    source = Path(store.url.removeprefix("file://")).parent / fault
    shutil.copytree(store.fetch(model, source / "cache").path, source)
    (source / MANIFEST).unlink()
    save_file(FAULTS[fault](load_file(source / "model.safetensors")), source / "model.safetensors")
    store.publish(source, Card(model=model, version=fault, made=Made(by="a test")))


@pytest.mark.parametrize("model", MODELS)
def test_every_fault_is_refused_and_what_served_serves_on(model: str, tmp_path: Path) -> None:
    store, make = store_with(tmp_path, model), MODELS[model]
    for fault in FAULTS:
        publish(store, model, fault)
    kind = StreamLane if make is Llava else Lane

    async def main() -> dict[str, str]:
        queue = BatchQueue(limit=8, max_items=4, max_cost=10**9)
        lane = kind(model, lambda: make(CPU), queue)
        engine = Engine("test", [lane], pool=Pool(1, limit=8), on_lost=lambda: None)
        engine.start()
        swaps = Swaps(engine, store, cache=tmp_path / "cache", references={model: model}, wait=60)
        await swaps.load(model)
        served, reasons = lane.weights, {}
        for fault in FAULTS:
            with pytest.raises(RefusedWeights) as refused:
                await swaps.prepare(model, fault, by="a test")
            reasons[fault] = str(refused.value)
            assert lane.weights is served and swaps.prepared is None
        assert served is not None
        await answered(engine, served.model, model)
        await engine.close()
        return reasons

    reasons = asyncio.run(main())
    assert all("golden case" in reasons[fault] for fault in ("zeros", "random")), json.dumps(reasons, indent=1)
    assert not any("golden case" in reasons[fault] or "the log says" in reasons[fault] for fault in list(FAULTS)[:6])


async def answered(engine: Engine, model: Any, name: str) -> None:
    deadline = time.monotonic() + 30
    if isinstance(model, Llava):
        async with engine.open(name, model.example(), deadline=deadline) as stream:
            assert [piece async for pieces in stream.pieces() for piece in pieces]
    else:
        assert (await engine.infer(name, model.example(), deadline=deadline)).identity.model == name
