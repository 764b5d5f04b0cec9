"""The whole house for the end-to-end tests: detection behind the gateway, as real processes."""

from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from tests.processes import Running, running


@dataclass(frozen=True)
class House:
    """The running processes, and a client of the gateway."""

    gateway: Running
    detection: Running
    client: httpx.Client


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Detection with the shipped models, and the gateway in front of it."""
    state = tmp_path_factory.mktemp("state")
    with (
        running("services.detection", state=state) as detection,
        running("services.gateway", state=state, detection=detection.url) as gateway,
        httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client,
    ):
        yield House(gateway, detection, client)
