"""The processes under test: real ones, on ports that the system chooses, ended by their own process id.

free port -> start, with the output in a file -> /readyz says yes -> ... -> SIGTERM
"""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtests.machine import cpu_of, cpu_of_first_thread

ROOT = Path(__file__).resolve().parent.parent
START_S = 600.0  # a network of 14 GB takes its time, and a full-size one on a busy machine
STOP_S = 30.0
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}


class ChildFailed(Exception):
    """A process under test ended, or stayed silent; the message has its last lines."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running process, the file that its output goes to, and the ports that it was told to use, if any."""

    process: "subprocess.Popen[bytes]"
    output: Path
    port: int = 0
    management_port: int = 0

    @property
    def cpu(self) -> float:
        """CPU seconds until now, of all its threads."""
        return cpu_of(self.process.pid)

    @property
    def http_cpu(self) -> float:
        """CPU seconds until now, of the thread that does all HTTP."""
        return cpu_of_first_thread(self.process.pid)

    @property
    def url(self) -> str:
        """The address of its data port."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> bytes:
        """What its management port answers at `path`."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.management_port}{path}", timeout=5) as response:
            body: bytes = response.read()
        return body

    def ready(self) -> bool:
        """Whether it takes requests now."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def wrote(self, text: str) -> bool:
        """Whether `text` is in its output by now."""
        return text in self.output.read_text(errors="replace")

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait for `until` to hold. Raises `ChildFailed` when the process ends before, or takes too long."""
        deadline = time.monotonic() + START_S
        while not until():
            if self.process.poll() is not None and not until():
                raise ChildFailed(f"{self.process.args!r} ended with {self.process.returncode}:{self._last_lines()}")
            if time.monotonic() > deadline:
                raise ChildFailed(f"{self.process.args!r} is not ready after {START_S:g} s:{self._last_lines()}")
            time.sleep(0.02)

    def _last_lines(self) -> str:
        return "\n".join(["", *self.output.read_text(errors="replace").splitlines()[-20:]])


class Worker:
    """A child that answers a line for a line."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def ask(self, line: str) -> str:
        """Its answer to `line`. Raises `ChildFailed`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended, which the empty answer tells as well
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise ChildFailed(f"no answer from {self._process.args!r}; its last words are above")
        return answer


@contextlib.contextmanager
def started(command: list[str], output: Path, settings: Mapping[str, object]) -> Iterator[Child]:
    """`command` with its output in `output` and `settings` as `OCELLI_` variables, until the block ends."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(settings),
            stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        yield Child(process, output, *(int(str(settings.get(name, 0))) for name in ("port", "management_port")))
    finally:
        end(process)


@contextlib.contextmanager
def working(command: list[str]) -> Iterator[Worker]:
    """`command` as a worker, until the block ends."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment({}), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Worker(process)
    finally:
        end(process)
        process.stdout.close()
        with contextlib.suppress(BrokenPipeError):  # it left a line unread, which its caller knows by now
            process.stdin.close()


def end(process: "subprocess.Popen[Any]") -> None:
    """Ask a process to end, and insist after a while."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This environment with our own settings only, and one thread for each numeric library."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OCELLI_")}
    return {**clean, **ONE_THREAD, **{f"OCELLI_{name.upper()}": str(value) for name, value in settings.items()}}


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: who starts a process that logs nothing must know its port before."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(one.getsockname()[1]) for one in bound]


class Bench:
    """Starts the processes of one section in a folder of its own, and knows how long to measure."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack, *, rounds: int, quick: bool) -> None:
        self.folder, self.rounds, self.quick = folder, rounds, quick
        self._stack = stack
        self._count = 0

    def seconds(self, full: float) -> float:
        """The length of a round: `full`, or a tenth of it in a quick run."""
        return full / 10 if self.quick else full

    def start(self, module: str, *arguments: str, **settings: object) -> Child:
        """`python -m module`, ready to answer."""
        child = self.launch(module, *arguments, **settings)
        child.wait(child.ready)
        return child

    def launch(self, module: str, *arguments: str, **settings: object) -> Child:
        """`python -m module`, which is still starting."""
        port, management_port = free_ports(2)
        own = {"state": self.folder / "state", "port": port, "management_port": management_port, "drain_delay_s": 0}
        return self.run([sys.executable, "-m", module, *arguments], **own | settings)

    def work(self, module: str, *arguments: str) -> Worker:
        """`python -m module` as a worker."""
        return self._stack.enter_context(working([sys.executable, "-m", module, *arguments]))

    def run(self, command: list[str], **settings: object) -> Child:
        """`command`, which ends with the section at the latest."""
        self._count += 1
        return self._stack.enter_context(started(command, self.folder / f"{self._count}.log", settings))
