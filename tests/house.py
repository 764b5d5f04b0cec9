"""The whole house, as real processes: started once for all tests that ask for it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.processes import Running, running

SERVICES = ("detection", "clip", "owlvit", "llava")


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
    with ExitStack() as stack:

        def start(name: str) -> Running:
            return stack.enter_context(running(f"services.{name}", state=state))

        with ThreadPoolExecutor() as pool:  # each loads for seconds on a core of its own
            services = dict(zip(SERVICES, pool.map(start, SERVICES), strict=True))
        urls: dict[str, Any] = {name: service.url for name, service in services.items()}
        gateway = stack.enter_context(running("services.gateway", state=state, **urls))
        client = stack.enter_context(httpx.Client(base_url=gateway.url, timeout=60, trust_env=False))
        yield House(gateway, client=client, **services)
