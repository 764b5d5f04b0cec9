"""The whole house, as real processes: started once for all tests that ask for it."""

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
    clip: Running
    owlvit: Running
    llava: Running
    client: httpx.Client


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Every service with its shipped models, and the gateway in front of them."""
    state = tmp_path_factory.mktemp("state")
    with (
        running("services.detection", state=state) as detection,
        running("services.clip", state=state) as clip,
        running("services.owlvit", state=state) as owlvit,
        running("services.llava", state=state) as llava,
        running(
            "services.gateway",
            state=state,
            detection=detection.url,
            clip=clip.url,
            owlvit=owlvit.url,
            llava=llava.url,
        ) as gateway,  # fmt: skip
        httpx.Client(base_url=gateway.url, timeout=60, trust_env=False) as client,
    ):
        yield House(gateway, detection, clip, owlvit, llava, client)
