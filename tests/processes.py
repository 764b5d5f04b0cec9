"""Real processes for tests: started on ports that the system chooses, and ended by their own process id."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


class Running:
    """A process of ours, its JSON log lines, and its two ports."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []
        self._news: queue.Queue[dict[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        listening = self.wait_for("listening")
        self.port, self.management_port = listening["port"], listening["management_port"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def management(self) -> str:
        return f"http://127.0.0.1:{self.management_port}"

    def wait_for(self, event: str, seconds: float = 60) -> dict[str, Any]:
        """The first line, from now on, that logs `event`."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                line = self._news.get(timeout=min(left, 0.5))
                if line.get("event") == event:
                    return line
            if self.process.poll() is not None and self._news.empty():
                raise AssertionError(f"it ended with {self.process.returncode} before {event!r}: {self.lines[-5:]}")
        raise AssertionError(f"no {event!r} within {seconds} s: {self.lines[-5:]}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float = 40) -> int:
        return self.process.wait(seconds)

    def close(self) -> None:
        """Read what is left of the output, and let go of it."""
        self._reader.join(5)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for text in self.process.stdout:
            try:
                line = json.loads(text)
            except json.JSONDecodeError:
                line = {"event": "text", "text": text}
            self.lines.append(line)
            self._news.put(line)


@contextlib.contextmanager
def running(module: str, *, ready: bool = True, **settings: object) -> Iterator[Running]:
    """`python -m module` with `OCELLI_` settings, until the block ends."""
    process = subprocess.Popen(
        [sys.executable, "-m", module], cwd=ROOT, env=environment(settings),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    service = None
    try:
        service = Running(process)
        if ready:
            service.wait_for("ready", 120)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if service is not None:
            service.close()


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """This environment, with ports chosen by the system and `OCELLI_` variables from `settings`."""
    wanted = {"port": 0, "management_port": 0, "drain_delay_s": 0, **settings}
    return {**os.environ, "PYTHONUNBUFFERED": "1"} | {f"OCELLI_{k.upper()}": str(v) for k, v in wanted.items()}


def ocelli(state: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """The command, run to its end on a local state."""
    command = [str(Path(sys.executable).with_name("ocelli")), *arguments]
    own = {**os.environ, "OCELLI_STATE": str(state), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=own, check=False)
