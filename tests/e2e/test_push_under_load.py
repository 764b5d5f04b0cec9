"""Weights change under load: nothing is lost, and every answer is what the weights that it names make of the question.

`STRESS_SWAPS` is the number of changes for each service.
"""

import base64
import itertools
import json
import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from shared.admin_key import read
from tests.e2e.versions import publish_noisy, store_with
from tests.processes import ROOT, Running, running

SWAPS = int(os.environ.get("STRESS_SWAPS", "10"))
CLIENTS = 4
SCENE = (ROOT / "examples/scene.jpg").read_bytes()
SHAPES = (ROOT / "examples/shapes.jpg").read_bytes()
QUERY = (ROOT / "examples/query.png").read_bytes()

Ask = Callable[[httpx.Client], tuple[str, Any]]  # -> the digest that the answer names, and what it says


def found(answer: httpx.Response) -> tuple[str, Any]:
    """The boxes of an answer as rows of numbers."""
    rows = [[one["label_id"], one["score"], *one["box"].values()] for one in answer.raise_for_status().json()["data"]]
    return answer.headers["x-weights-digest"], rows


def detect(client: httpx.Client) -> tuple[str, Any]:
    kind = {"content-type": "image/jpeg"}
    return found(client.post("/v1/detect", content=SCENE, params={"threshold": 0.3}, headers=kind))


def detect_open(client: httpx.Client) -> tuple[str, Any]:
    form = {"labels": "red circle,blue heart,a star", "threshold": "0.05"}
    return found(client.post("/v1/detect/open", files={"image": SHAPES}, data=form))


def embed(client: httpx.Client) -> tuple[str, Any]:
    shown = {"image": base64.b64encode(QUERY).decode()}
    texts = [f"a photo of a {colour} star" for colour in ("red", "blue", "pink")]
    answer = client.post("/v1/embeddings", json={"input": [*texts, shown] * 6}).raise_for_status()
    return answer.headers["x-weights-digest"], [one["embedding"] for one in answer.json()["data"]]


def classify(client: httpx.Client) -> tuple[str, Any]:
    answer = client.post("/v1/classify", files={"image": QUERY}, data={"label_set": "shapes"}).raise_for_status()
    scores = {one["label"]: one["score"] for one in answer.json()["data"][0]["labels"]}
    return answer.headers["x-weights-digest"], [scores[label] for label in sorted(scores)]


def question(**more: object) -> dict[str, object]:
    url = f"data:image/png;base64,{base64.b64encode((ROOT / 'examples/dark.png').read_bytes()).decode()}"
    parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": "Describe the picture."}]
    return {"messages": [{"role": "user", "content": parts}], "temperature": 0, "max_tokens": 24, **more}


def chat(client: httpx.Client) -> tuple[str, Any]:
    answer = client.post("/v1/chat/completions", json=question()).raise_for_status()
    body = answer.json()
    assert body["system_fingerprint"] == answer.headers["x-weights-digest"]
    return body["system_fingerprint"], body["choices"][0]["message"]["content"]


def stream(client: httpx.Client) -> tuple[str, Any]:
    text, digests = "", set()
    with client.stream("POST", "/v1/chat/completions", json=question(stream=True)) as answer:
        answer.raise_for_status()
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines.pop() == "data: [DONE]"
    for chunk in (json.loads(line.removeprefix("data: ")) for line in lines):
        digests.add(chunk["system_fingerprint"])
        text += "".join(choice["delta"].get("content") or "" for choice in chunk["choices"])
    (digest,) = digests
    return digest, text


# The model, how much noise sets its versions apart and leaves them something to say, and what to ask.
SERVICES: Mapping[str, tuple[str, float, tuple[Ask, ...]]] = {
    "detection": ("faster-rcnn", 0.05, (detect,)),
    "clip": ("clip", 0.4, (embed, classify)),
    "owlvit": ("owlvit", 0.05, (detect_open,)),
    "llava": ("llava", 0.4, (chat, stream)),
}


@dataclass
class Operator:
    """Who changes the weights of one process, and asks it questions."""

    process: Running
    model: str
    key: str

    def order(self, action: str, **fields: str) -> None:
        url = f"{self.process.management}/admin/weights/{self.model}/{action}"
        answer = httpx.post(url, json=fields, headers={"authorization": f"Bearer {self.key}"}, timeout=60)
        assert answer.status_code == 200, answer.text

    def swap(self, version: str, digest: str) -> None:
        self.order("prepare", version=version)
        self.order("commit", digest=digest)


@dataclass
class Crowd:
    """Clients that ask all the time, and all that they were told."""

    url: str
    asks: tuple[Ask, ...]
    answers: dict[tuple[Ask, str], list[Any]] = field(default_factory=lambda: defaultdict(list))
    seconds: list[float] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)

    def run(self, work: Callable[[], None]) -> None:
        """Ask while `work` is done."""
        done = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(done, number)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            work()
        finally:
            done.set()
            for thread in threads:
                thread.join()

    def _ask(self, done: threading.Event, number: int) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as client:
            for turn in itertools.count(number):
                if done.is_set():
                    return
                ask, began = self.asks[turn % len(self.asks)], time.monotonic()
                try:
                    digest, answer = ask(client)
                except Exception as error:
                    self.failures.append(error)
                    return
                self.seconds.append(time.monotonic() - began)
                self.answers[ask, digest].append(answer)


@pytest.fixture(params=SERVICES)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Operator, dict[str, str], tuple[Ask, ...]]]:
    """A service, three versions of its model by their digests, and what to ask it."""
    model, spread, asks = SERVICES[request.param]
    store = store_with(tmp_path, model)
    versions = {store.resolve(model).version: store.resolve(model).digest}
    versions |= {
        f"noisy-{seed}": publish_noisy(store, model, f"noisy-{seed}", seed=seed, spread=spread) for seed in (1, 2)
    }
    settings: dict[str, Any] = {"store": store.url, "state": tmp_path / "state", "models": model, "follow_s": 0}
    with running(f"services.{request.param}", device="cpu", **settings) as process:
        key = read(tmp_path / "state/admin.key")
        assert key is not None
        yield Operator(process, model, key), versions, asks


@pytest.mark.timeout(120 + 10 * SWAPS)
def test_every_answer_is_that_of_the_weights_that_it_names_and_none_is_lost(
    scene: tuple[Operator, dict[str, str], tuple[Ask, ...]],
) -> None:
    operator, versions, asks = scene
    shipped, *noisy = versions
    alone: dict[tuple[Ask, str], Any] = {}
    with httpx.Client(base_url=operator.process.url, timeout=60) as client:
        for version in (*noisy, shipped):
            operator.swap(version, versions[version])
            alone |= {(ask, versions[version]): ask(client)[1] for ask in asks}
    crowd, quiet = Crowd(operator.process.url, asks), Crowd(operator.process.url, asks)
    quiet.run(lambda: time.sleep(2))

    def change() -> None:
        serving, before = shipped, noisy[-1]
        for turn in range(SWAPS):
            if turn % 3 == 2:
                operator.order("rollback", digest=versions[before])
                serving, before = before, serving
            else:  # the one that is not warm, so that it is read and tried out
                (target,) = versions.keys() - {serving, before}
                operator.swap(target, versions[target])
                serving, before = target, serving
            time.sleep(0.1)

    crowd.run(change)
    assert crowd.failures == []
    assert {digest for _, digest in crowd.answers} == set(versions.values())
    for (ask, digest), answers in crowd.answers.items():
        for answer in answers:
            assert same(answer, alone[ask, digest]), (ask.__name__, digest)
            others = [alone[ask, other] for other in versions.values() if other != digest]
            assert not any(same(answer, other) for other in others), "the versions can be told apart"
    p99 = [sorted(each.seconds)[int(0.99 * len(each.seconds))] for each in (quiet, crowd)]
    print(f"{operator.model}: {len(crowd.seconds)} answers, p99 {p99[1] * 1000:.0f} ms, quiet {p99[0] * 1000:.0f} ms")


def same(one: Any, other: Any) -> bool:
    """Equal, or numbers of the same shape that are close."""
    if isinstance(one, str):
        return bool(one == other)
    left, right = np.asarray(one), np.asarray(other)
    return left.shape == right.shape and bool(np.allclose(left, right, atol=2e-3, rtol=1e-3))
