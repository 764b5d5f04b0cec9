"""A CLIP service whose store is a bucket: pushed to by command, following, and serving on while the server is away."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.buckets import Line
from tests.processes import ROOT, Running, environment, running
from tests.services.clip.clip_versions import random_clip, write_version


@pytest.fixture
def store(bucket: str, tmp_path: Path) -> Store:
    """A bucket with two versions of a CLIP, of which the first is champion."""
    store = Store(bucket)
    for number in (1, 2):
        source = write_version(tmp_path / f"v{number}", random_clip(number))
        (source / "manifest.json").unlink()
        store.publish(source, Card(model="clip", version=f"v{number}", made=Made(by="a test")))
    store.move_alias("clip", "champion", "v1", expected=None)
    return store


@pytest.fixture
def line(store: Store, s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    line = Line(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", line.url)
    yield line
    line.close()


def serving(store: Store, folder: Path) -> dict[str, Any]:
    return {"store": store.url, "state": folder / "state", "device": "cpu", "follow_s": 0.2, "log_level": "debug"}


def version(service: Running) -> str:
    answer = httpx.post(f"{service.url}/v1/embeddings", json={"input": "a photo"})
    assert answer.status_code == 200, answer.text
    return answer.headers["x-model-version"]


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def trouble(service: Running) -> bool:
    return 'ocelli_model_follow_trouble{model="clip"} 1.0' in httpx.get(f"{service.management}/metrics").text


def push(store: Store, service: Running, folder: Path, reference: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "shared.cli", "models", "push", reference, "--new-space"]
    command += ["--replicas", f"127.0.0.1:{service.management_port}"]
    variables = environment({"store": store.url, "state": folder / "state"})
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def test_a_service_takes_a_push_serves_on_through_an_outage_and_begins_in_one_from_its_copies(
    store: Store, line: Line, tmp_path: Path
) -> None:
    with running("services.clip", **serving(store, tmp_path)) as service:
        pushed_and_cut_off(store, line, service, tmp_path)
    told = [one["event"] for one in service.lines]
    assert told.count("cannot_follow") == 1
    assert not any("a-secret-of-tests" in str(one) for one in service.lines)
    line.up = False
    with running("services.clip", **serving(store, tmp_path)) as service:
        assert version(service) == "v1"
        assert [one["weights"] for one in service.lines if one["event"] == "store_away"] == ["v1"]
        line.up = True
        store.move_alias("clip", "champion", "v2", expected="v1")
        until(lambda: version(service) == "v2")


def pushed_and_cut_off(store: Store, line: Line, service: Running, folder: Path) -> None:
    """v1 serves, v2 is pushed and serves through an outage, and v1 again after it."""
    assert version(service) == "v1"
    done = push(store, service, folder, "clip@v2")
    assert done.returncode == 0, done
    assert (version(service), store.resolve("clip").version) == ("v2", "v2")
    line.up = False
    until(lambda: trouble(service))
    assert version(service) == "v2"
    refused = push(store, service, folder, "clip@v1")
    assert refused.returncode == 1
    assert "does not answer. Check AWS_ENDPOINT_URL" in refused.stderr
    line.up = True
    store.move_alias("clip", "champion", "v1", expected="v2")
    until(lambda: version(service) == "v1" and not trouble(service))


def test_without_copies_it_does_not_start_and_says_what_to_check(store: Store, line: Line, tmp_path: Path) -> None:
    line.up = False
    with running("services.clip", ready=False, **serving(store, tmp_path)) as service:
        assert "Check AWS_ENDPOINT_URL" in service.wait_for("cannot_start")["reason"]
        assert service.wait() == 1


def test_the_shipped_models_begin_a_bucket_by_a_command(bucket: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shared.cli", "models", "seed"]
    variables = environment({"store": bucket, "state": tmp_path / "state"})
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done
    assert {"clip", "owlvit", "llava", "ssd", "faster-rcnn", "mask-rcnn"} == set(Store(bucket).models())
    assert all(model in done.stdout for model in Store(bucket).models())
