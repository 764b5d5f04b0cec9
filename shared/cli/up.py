"""`ocelli up`: the gateway and the services on this machine, in the foreground.

    start all -> read their JSON lines -> prefix and print -> URLs when all are ready
    Ctrl-C    -> the gateway stops first, then the services

A process that ends by itself ends them all, with its exit code. Raw lines are kept in `<state>/logs/<service>.log`.
"""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.request import urlopen

import orjson

# In the order in which they start; they stop in the reverse order.
BUILT = ("detection", "clip", "owlvit", "llava", "gateway")
HIDDEN = frozenset({"timestamp", "level", "event", "service", "version", "module"})
GRACE_S = 40.0  # for one process to drain; longer than its own limits
# Several processes share the cores: spinning OpenMP threads would take them from each other.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONUNBUFFERED": "1"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ocelli up`."""
    parser.add_argument("--only", metavar="SERVICES", help=f"comma-separated, of: {', '.join(BUILT)} (default: all)")
    parser.add_argument("--quiet", action="store_true", help="print warnings and errors only")
    parser.epilog = (
        "Settings are read from OCELLI_ variables, e.g. OCELLI_DETECTION__DEVICE=cuda OCELLI_GATEWAY__PORT=8080."
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Start, watch and stop the processes; the exit code is 0 after Ctrl-C, and the failed one's otherwise."""
    chosen = arguments.only.split(",") if arguments.only else list(BUILT)
    unknown = [name for name in chosen if name not in BUILT]
    if unknown:
        print(f"ocelli up: there is no service {unknown[0]!r}; there are {', '.join(BUILT)}", file=sys.stderr)
        return 2
    return asyncio.run(Fleet([name for name in BUILT if name in chosen], quiet=arguments.quiet).run())


class Fleet:
    """The processes of one machine."""

    def __init__(self, services: list[str], *, quiet: bool) -> None:
        self.services, self.quiet = services, quiet
        self.logs = Path(os.environ.get("OCELLI_STATE", ".ocelli")) / "logs"
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.ports: dict[str, int] = {}
        self.ready: set[str] = set()
        self.width = max(map(len, services))
        self.stopping = asyncio.Event()

    async def run(self) -> int:
        """From the first start to the last stop."""
        self.logs.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._on_signal)
        readers = [asyncio.create_task(self._start(service)) for service in self.services]
        progress = asyncio.create_task(self._report())
        stop = asyncio.create_task(self.stopping.wait())
        await asyncio.wait([*readers, stop], return_when=asyncio.FIRST_COMPLETED)
        progress.cancel()
        first = next((task.result() for task in readers if task.done()), 0)
        await self._stop()
        codes = await asyncio.gather(*readers)
        stop.cancel()
        return first if first else (max(codes) if self.stopping.is_set() else 1)

    async def _start(self, service: str) -> int:
        """Run one process until it ends; returns its exit code."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"services.{service}",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True, env={**ONE_THREAD, **os.environ},
        )  # fmt: skip
        self.processes[service] = process
        assert process.stdout is not None
        with (self.logs / f"{service}.log").open("w") as file:
            async for line in process.stdout:
                self._on_line(service, line, file)
        code = await process.wait()
        if not self.stopping.is_set():
            self._say(service, f"ended with exit code {code}; its lines are in {file.name}")
        return abs(code)

    def _on_line(self, service: str, line: bytes, file: TextIO) -> None:
        text = line.decode(errors="replace").rstrip()
        file.write(text + "\n")
        file.flush()
        try:
            fields = orjson.loads(text)
        except orjson.JSONDecodeError:
            self._say(service, text)
            return
        if fields["event"] == "listening":
            self.ports[service] = fields["port"]
        elif fields["event"] == "ready":
            self.ready.add(service)
        if not self.quiet or fields["level"] not in {"debug", "info"}:
            self._say(service, readable(fields))

    async def _report(self) -> None:
        began = time.monotonic()
        while len(self.ready) < len(self.services):
            await asyncio.sleep(0.2)
            waited = time.monotonic() - began
            if waited > 2 and int(waited * 5) % 10 == 0 and len(self.ready) < len(self.services):
                missing = ", ".join(name for name in self.services if name not in self.ready)
                print(f"… {waited:3.0f} s, loading: {missing}", flush=True)
        await asyncio.to_thread(self._until_gateway_sees)
        print(self._welcome(time.monotonic() - began), flush=True)

    def _until_gateway_sees(self) -> None:
        """Wait until the gateway has noticed that the services are ready, or the first request would find none."""
        services = [name for name in self.services if name != "gateway"]
        if "gateway" not in self.ports:
            return
        for _ in range(100):
            with contextlib.suppress(OSError), urlopen(f"http://127.0.0.1:{self.ports['gateway']}/healthz") as answer:
                states = orjson.loads(answer.read())["services"]
                if all(states[name] == "ok" for name in services):
                    return
            time.sleep(0.1)

    def _welcome(self, seconds: float) -> str:
        lines = ["", f"Ocelli is ready after {seconds:.1f} s. Ctrl-C stops it."]
        lines += [
            f"  {service:<{self.width}}  http://127.0.0.1:{self.ports[service]}" for service in reversed(self.services)
        ]
        if "gateway" in self.ports:
            url = f"http://127.0.0.1:{self.ports['gateway']}"
            lines += [f"  {'API page':<{self.width}}  {url}/docs", "Try it:"]
            lines += [f"  curl --data-binary @examples/scene.jpg -H 'content-type: image/jpeg' {url}/v1/detect"]
        return "\n".join([*lines, ""])

    def _on_signal(self) -> None:
        if self.stopping.is_set():
            for process in self.processes.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
        self.stopping.set()

    async def _stop(self) -> None:
        """Stop one after another, the gateway first, so that what it has accepted finds the services still there."""
        for service in reversed(self.services):
            process = self.processes.get(service)
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), GRACE_S)
            except TimeoutError:
                process.kill()

    def _say(self, service: str, text: str) -> None:
        print(f"{service:<{self.width}} | {text}", flush=True)


def readable(fields: Mapping[str, Any]) -> str:
    """One log line for a person: `12:03:55 info     request  method=POST status=200`."""
    rest = " ".join(f"{key}={value}" for key, value in fields.items() if key not in HIDDEN)
    clock = str(fields.get("timestamp", ""))[11:19]
    return f"{clock} {fields.get('level', ''):<7} {fields.get('event', '')}  {rest}".rstrip()
