"""The job publishes its adapter beside what is merged, and a push of the adapter serves the merged version."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.finetune.demo.novel import novel
from services.finetune.detection.demo import write
from shared.admin_key import read
from tests.processes import Running, ocelli, running

GATE = ("least", "0"), ("gain", "-1"), ("loss", "1"), ("class-loss", "1"), ("latency", "9")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def service(state: Path) -> Iterator[Running]:
    with running("services.detection", state=state, models="ssd") as service:
        yield service


def said(state: Path, *arguments: str) -> str:
    done = ocelli(state, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def taught(state: Path, service: Running, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the job said that taught `ssd@bent` by an adapter."""
    data = write(tmp_path_factory.mktemp("data"), {"data": (novel, 8, 1), "validation": (novel, 4, 2)})
    given = [word for name, path in data.items() for word in (f"--{name}", str(path))]
    gate = [word for name, limit in GATE for word in (f"--gate.{name}", limit)]
    short = ("--steps", "2", "--batch", "4", "--evaluations", "1", "--threads", "1", "--lora", "2", "--no-push")
    return said(state, "finetune", "detection", *given, *gate, *short, "--version", "bent")


def test_the_job_publishes_both_and_both_tell_where_they_come_from(state: Path, taught: str) -> None:
    assert "published ssd@bent sha256:" in taught and "published its adapter as ssd@bent-adapter sha256:" in taught
    shown = said(state, "models", "show", "ssd@bent-adapter")
    digest = json.loads(said(state, "models", "show", "ssd@bent", "--json"))["digest"]
    assert "merged into    ssd@shapes-1 sha256:" in shown and f"merged, it is  ssd@bent {digest}" in shown


@pytest.mark.usefixtures("taught")
def test_a_service_refuses_an_adapter_and_says_what_merges_it(state: Path, service: Running) -> None:
    headers = {"authorization": f"Bearer {read(state / 'admin.key')}"}
    order = f"{service.management}/admin/weights/ssd/prepare"
    refused = httpx.post(order, json={"version": "bent-adapter"}, headers=headers)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "weights_refused")
    assert "ocelli models merge ssd@bent-adapter" in refused.json()["detail"]


@pytest.mark.usefixtures("taught")
def test_a_push_of_the_adapter_serves_the_merged_version(state: Path, service: Running) -> None:
    replicas = f"127.0.0.1:{service.management_port}"
    told = said(state, "models", "push", "ssd@bent-adapter", "--replicas", replicas)
    assert "ssd@bent-adapter is an adapter: merged into its base it is ssd@bent" in told
    (model,) = httpx.get(f"{service.url}/v1/models").json()["data"]
    assert model["version"] == "bent"
    assert "ssd@bent" in said(state, "models", "merge", "ssd@bent-adapter")


@pytest.mark.usefixtures("taught")
def test_an_adapter_is_no_base_to_start_from(state: Path) -> None:
    done = ocelli(state, "finetune", "detection", "--demo", "--base", "ssd@bent-adapter", "--dry-run")
    assert done.returncode == 1
    assert "--base ssd@bent-adapter is an adapter. Start from what it is merged into: ssd@bent." in done.stderr
