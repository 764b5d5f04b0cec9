"""The page of operations runs: its blocks of shell, in their order, beside a house of its own."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Running, running

PAGE = (ROOT / "docs/operations.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def own_house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A gateway and one service, with a state that the page may change, and that state's folder."""
    state = tmp_path_factory.mktemp("operated")
    with (
        running("services.detection", state=state, models="ssd") as detection,
        running("services.gateway", state=state, detection=detection.url, clip="", owlvit="", llava="") as gateway,
    ):
        yield gateway, state


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the operator types."""
    return tmp_path_factory.mktemp("desk")


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_the_page_runs(own_house: tuple[Running, Path], desk: Path, number: int) -> None:
    gateway, state = own_house
    block = BLOCKS[number].replace("localhost:8000", f"127.0.0.1:{gateway.port}")
    block = block.replace("localhost:9000", f"127.0.0.1:{gateway.management_port}")
    path = f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"OCELLI_STATE": str(state), "PATH": path}
    shell = ["bash", "-euo", "pipefail", "-c", block]
    done = subprocess.run(shell, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_page_has_its_blocks() -> None:
    assert len(BLOCKS) >= 6
