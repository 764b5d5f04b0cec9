"""Versions that must not serve, of each model: refused before anybody is answered by them, and the old serve on."""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from services.clip.model import Clip
from services.detection.model import Detector
from services.llava.model import Llava
from services.owlvit.model import OwlVit
from shared.serving import takeover
from shared.serving.batch import AnyModel, Lane
from shared.serving.engine import Engine
from shared.serving.model import RefusedWeights
from shared.serving.pool import Pool
from shared.serving.queue import BatchQueue
from shared.serving.stream import StreamLane
from shared.serving.swap import Swaps
from tests.e2e.versions import store_with
from tests.processes import ROOT, Running, environment, running
from tests.services.bad_versions import FAULTS, publish

torch.set_num_threads(1)
CPU = torch.device("cpu")
MODELS: dict[str, Callable[[torch.device], AnyModel]] = {
    "clip": Clip, "owlvit": OwlVit, "ssd": Detector, "mask-rcnn": Detector, "llava": Llava,
}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_every_fault_is_refused_with_its_reason_and_what_served_serves_on(model: str, tmp_path: Path) -> None:
    tell_right(model, [fault for fault in FAULTS if fault != "slower"], tmp_path)


@pytest.mark.parametrize("model", MODELS)
def test_what_is_right_and_takes_more_than_twice_as_long_is_refused(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "ROUNDS", range(3, 7))  # enough for weights that are several times as slow
    tell_right(model, ["slower"], tmp_path)


def tell_right(model: str, faults: Sequence[str], tmp_path: Path) -> None:
    """Prepare each faulty version in a process's own engine, beside the champion that serves."""
    store, make = store_with(tmp_path, model), MODELS[model]
    for fault in faults:
        publish(store, model, fault)
    kind = StreamLane if make is Llava else Lane

    async def main() -> dict[str, str]:
        queue = BatchQueue(limit=8, max_items=1, max_cost=10**9)
        lane = kind(model, lambda: make(CPU), queue)
        engine = Engine("test", [lane], pool=Pool(1, limit=8), on_lost=lambda: None)
        engine.start()
        swaps = Swaps(engine, store, cache=tmp_path / "cache", references={model: model}, wait=60)
        await swaps.load(model)
        served, reasons = lane.weights, {}
        for fault in faults:
            with pytest.raises(RefusedWeights) as refused:
                await swaps.prepare(model, fault, by="a test")
            reasons[fault] = str(refused.value)
            assert lane.weights is served and swaps.prepared is None
        assert served is not None
        await answered(engine, served.model, model)
        await engine.close()
        return reasons

    reasons = asyncio.run(main())
    wrong = {fault: told for fault, told in reasons.items() if not re.search(FAULTS[fault].reason, told)}
    assert not wrong
    assert not any("the log says" in told for told in reasons.values()), reasons
    assert [pointer.version for pointer in store.history(model, "champion")] == [store.resolve(model).version]


async def answered(engine: Engine, model: Any, name: str) -> None:
    deadline = time.monotonic() + 30
    if isinstance(model, Llava):
        async with engine.open(name, model.example(), deadline=deadline) as stream:
            assert [piece async for pieces in stream.pieces() for piece in pieces]
    else:
        assert (await engine.infer(name, model.example(), deadline=deadline)).identity.model == name


PUSHED = {"random": "golden case", "flipped": "are not those that were published", "pickle": "not a safetensors file"}


def test_a_push_of_faulty_versions_is_refused_and_the_service_answers_on_with_the_same_weights(tmp_path: Path) -> None:
    store, picture = store_with(tmp_path, "ssd"), (ROOT / "examples/scene.jpg").read_bytes()
    for fault in PUSHED:
        publish(store, "ssd", fault)
    settings: dict[str, Any] = {"store": store.url, "state": tmp_path / "state", "models": "ssd", "device": "cpu"}
    with running("services.detection", **settings) as service:
        seen = [asked(service, picture)]
        for fault, reason in PUSHED.items():
            command = [sys.executable, "-m", "shared.cli", "models", "push", f"ssd@{fault}"]
            command += ["--replicas", f"127.0.0.1:{service.management_port}"]
            variables = environment({"store": store.url, "state": tmp_path / "state"})
            done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
            assert (done.returncode, bool(re.search(reason, done.stderr))) == (1, True), done
            seen.append(asked(service, picture))
    assert all(one == seen[0] for one in seen)
    assert seen[0][0] == store.resolve("ssd").digest
    assert [pointer.version for pointer in store.history("ssd", "champion")] == ["shapes-1"]


def asked(service: Running, picture: bytes) -> tuple[str, object]:
    """The digest that answers, and what it finds."""
    answer = httpx.post(f"{service.url}/v1/detect", content=picture, headers={"content-type": "image/jpeg"})
    return answer.headers["x-weights-digest"], answer.json()["data"]
