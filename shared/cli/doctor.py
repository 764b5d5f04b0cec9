"""`ocelli doctor`: is this machine fit to serve? One line per check, and what to do where it is not."""

import argparse
import importlib.metadata
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from shared.cli.up import BUILT
from shared.settings import SERVICES
from shared.weights.errors import StoreError
from shared.weights.store import Store

GATEWAY_PORT = 8000
NEEDED_MEMORY_GB = 2.0
NEEDED_DISK_GB = 1.0


class Finding(NamedTuple):
    """What one check found; `advice` says what to do where it is not good."""

    good: bool
    what: str
    advice: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `ocelli doctor`."""
    parser.epilog = "The exit code is 1 if a check failed."
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Run every check and print what it found."""
    bad = 0
    for check in CHECKS:
        for finding in check():
            bad += not finding.good
            print(f"{'ok ' if finding.good else 'BAD'}  {finding.what}")
            if not finding.good:
                print(f"     → {finding.advice}")
    print("This machine is fit to serve." if not bad else f"{bad} of the checks failed.")
    return int(bad > 0)


def python() -> Iterator[Finding]:
    """Python is new enough."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(sys.version_info >= (3, 11), f"Python {version}", "Ocelli needs Python 3.11 or newer.")


def packages() -> Iterator[Finding]:
    """The packages that decide most are there, in which version."""
    for name in ("fastapi", "uvicorn", "aiohttp", "pydantic", "torch", "torchvision", "safetensors"):
        try:
            yield Finding(True, f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            yield Finding(False, f"{name} is missing", "Run `make environment`.")


def ports() -> Iterator[Finding]:
    """The data and management ports of what `ocelli up` starts are free."""
    for service in BUILT:
        default = GATEWAY_PORT + SERVICES.index(service)
        port = int(os.environ.get(f"OCELLI_{service.upper()}__PORT", default))
        for number, kind in ((port, "data"), (port + 1000, "management")):
            with socket.socket() as probe:
                free = probe.connect_ex(("127.0.0.1", number)) != 0
            advice = f"Stop what listens there (`ss -ltnp 'sport = :{number}'`) or set OCELLI_{service.upper()}__PORT."
            yield Finding(free, f"{service} {kind} port {number} is {'free' if free else 'taken'}", advice)


def memory() -> Iterator[Finding]:
    """There is memory for the processes."""
    fields = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    free = int(fields["MemAvailable"].split()[0]) / 1e6
    yield Finding(
        free >= NEEDED_MEMORY_GB, f"{free:.1f} GB of memory available", "Close other programs, or add memory."
    )


def disk() -> Iterator[Finding]:
    """There is room for the state folder."""
    state = Path(os.environ.get("OCELLI_STATE", ".ocelli"))
    place = next(folder for folder in (state.absolute(), *state.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free / 1e9
    yield Finding(free >= NEEDED_DISK_GB, f"{free:.1f} GB of disk free for {state}", "Free some, or set OCELLI_STATE.")


def gpu() -> Iterator[Finding]:
    """A GPU that the driver shows is one that torch can use."""
    script = "import torch; print(torch.cuda.get_device_name() if torch.cuda.is_available() else '')"
    name = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False).stdout.strip()
    if name:
        yield Finding(True, f"GPU: {name}")
    elif shutil.which("nvidia-smi"):
        yield Finding(
            False, "the driver is there, and torch sees no GPU", "Compare the driver's CUDA version with torch's."
        )
    else:
        yield Finding(True, "no GPU: services run on the CPU")


def store() -> Iterator[Finding]:
    """Every version of the weights store is, byte for byte, what its manifest says."""
    command = [sys.executable, "-m", "shared.cli", "models", "verify", "--all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines() or ["the store is empty"]
    yield Finding(done.returncode == 0, f"weights store: {lines[-1]}", "Run `ocelli models verify --all`.")


def bucket() -> Iterator[Finding]:
    """A store that is not on a disk refuses a name that is taken."""
    url = os.environ.get("OCELLI_STORE", "")
    if "://" not in url or url.startswith("file://"):
        return
    try:
        good = Store(url).grants_once()
    except StoreError as error:
        yield Finding(False, f"the store takes nothing: {error}", "A service needs to read it, a push to write it too.")
        return
    what = f"the store {'refuses' if good else 'grants'} a name that is taken"
    yield Finding(good, what, "Its server must know `If-None-Match` on a put; with Ceph, without versioning.")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (python, packages, ports, memory, disk, gpu, store, bucket)
