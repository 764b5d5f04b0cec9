"""The fine-tuning job in the stack: it teaches a running service, and a restart of everything forgets nothing."""

import httpx
import pytest

from tests.docker.stack import Stack
from tests.processes import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]


def look(stack: Stack) -> tuple[str, list[str]]:
    """Which version answers, and what it sees in a picture with two shapes that no shipped model knows."""
    answer = httpx.post(
        f"{stack.url}/v1/detect?model=ssd", content=(ROOT / "examples/new-shapes.jpg").read_bytes(),
        headers={"content-type": "image/jpeg"}, timeout=60,
    )  # fmt: skip
    found = answer.raise_for_status().json()["data"]
    return answer.headers["x-model-version"], sorted(one["label"] for one in found)


def test_the_job_teaches_the_running_services_and_a_restart_keeps_it(stack: Stack) -> None:
    shipped, before = look(stack)
    assert shipped == "shapes-1" and "crescent" not in before
    told = stack.compose("run", "--rm", "-T", "finetune", "detection", "--demo", seconds=600)
    version, after = look(stack)
    assert "it serves on 1 of 1 replicas" in told and version.startswith("detection-")
    assert {"crescent", "arrow"} & set(after)
    stack.compose("down")
    stack.up()
    assert look(stack) == (version, after)
    rollback = ("models", "rollback", "detection", "--replicas", "detection:9001")
    stack.compose("run", "--rm", "-T", "--entrypoint", "ocelli", "finetune", *rollback)
    assert look(stack) == (shipped, before)
