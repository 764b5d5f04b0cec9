"""The stack for tests: Compose's, with a name, a port and volumes of its own, so that an operator's is left alone.

build -> up -> asked over HTTP, disturbed through the engine -> down with its volumes
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

import shared
from tests.processes import ROOT

MODEL_SERVICES = ("detection", "clip", "owlvit", "llava")
PROJECT = "ocelli-test"
MANAGEMENT = {"gateway": 9000, "detection": 9001, "clip": 9002, "owlvit": 9003, "llava": 9004}


class Stack:
    """The running containers, and what can be done to them."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Shells and files of the operator must not reach the test.
        own = {"COMPOSE_PROJECT_NAME": PROJECT, "PUBLISH": "127.0.0.1", "PUBLISH_PORT": str(self.port)}
        self.environment = {**os.environ, **own}

    def compose(self, *arguments: str, seconds: float = 300) -> str:
        """What `docker compose …` prints."""
        return run("docker", "compose", "--profile", "train", *arguments, seconds=seconds, environment=self.environment)

    def up(self, *arguments: str) -> None:
        """Start what is not there, and wait until all is healthy."""
        names = [] if arguments else ["gateway"]  # which brings the services
        self.compose("--progress", "quiet", "up", "--detach", "--wait", *arguments, *names)

    def scale(self, service: str, count: int) -> None:
        """Run so many replicas of `service`, and wait until the gateway holds them ready."""
        self.up("--no-deps", "--no-recreate", "--scale", f"{service}={count}", service)
        wait_until(lambda: self.ready(service) == count, 60)

    def containers(self, service: str) -> list[str]:
        """The ids of the running containers of a service."""
        return self.compose("ps", "--quiet", service).split()

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of the first container of a service."""
        return inspect(self.containers(service)[0])

    def metrics(self, service: str) -> str:
        """The exposition of a service, read inside its container: its management port is not to be had elsewhere."""
        page = f"urlopen('http://127.0.0.1:{MANAGEMENT[service]}/metrics').read().decode()"
        code = f"from urllib.request import urlopen; print({page})"
        return self.compose("exec", "-T", service, "python", "-c", code)

    def ready(self, service: str) -> int:
        """How many replicas of a service the gateway holds ready."""
        match = re.search(rf'ocelli_upstream_ready_replicas{{upstream="{service}"}} (\d+)', self.metrics("gateway"))
        return int(match[1]) if match else 0

    def all_ready(self) -> bool:
        """Whether the gateway answers, and sees a ready replica of every service."""
        with contextlib.suppress(httpx.HTTPError):
            return set(httpx.get(f"{self.url}/health", timeout=5).json()["services"].values()) == {"ok"}
        return False


def run(*command: str, seconds: float = 120, environment: Mapping[str, str] | None = None) -> str:
    """What a command prints; its failure is the test's."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, timeout=seconds, check=False, capture_output=True, text=True
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def inspect(what: str) -> dict[str, Any]:
    """What the engine says of a container or an image."""
    (found,) = json.loads(run("docker", "inspect", what))
    return dict(found)


def crash(container: str) -> None:
    """Kill a container's process as a crash would: `docker kill` would count as a stop, which no policy undoes."""
    pid = inspect(container)["State"]["Pid"]
    code = f"import os; os.kill({pid}, 9)"
    entry = ("--entrypoint", "python", f"ocelli/gateway:{shared.__version__}", "-c", code)
    run("docker", "run", "--rm", "--pid", "host", "--user", "0", *entry)


def wait_until(condition: Callable[[], bool], seconds: float) -> None:
    """Wait for `condition`."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.5)


def free_port() -> int:
    """A port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """The images built, the stack up, from nothing; and nothing left of it afterwards."""
    stack = Stack()
    stack.compose("down", "--volumes", "--remove-orphans")
    stack.compose("build", "--quiet", seconds=900)
    try:
        stack.up()
        yield stack
    finally:
        stack.compose("down", "--volumes", "--remove-orphans")
