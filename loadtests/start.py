"""Starting: from the command to a house that answers, with the shipped models."""

import time
from collections.abc import Iterator

from loadtests.house import OCELLI
from loadtests.processes import ROOT, Bench, free_ports, started
from loadtests.report import Figure, Goal

SERVICES = ("detection", "clip", "owlvit")  # behind the gateway; each with shipped models
NAME, GOAL = "ocelli up, second run, to ready", Goal(30, most=True)


def measure(bench: Bench) -> Iterator[Figure]:
    """Seconds from `ocelli up` to its word that it is ready; the first run, which fills the local store, apart."""
    if not any((ROOT / "models" / "models").glob("*/*/manifest.json")):
        yield Figure(NAME, "s", [], GOAL, "there are no shipped models in models/")
        return
    first, *later = [_start(bench, turn) for turn in range(2 if bench.quick else 1 + bench.rounds)]
    yield Figure(NAME, "s", later, GOAL)
    yield Figure("ocelli up, first run, to ready", "s", [first])


def _start(bench: Bench, turn: int) -> float:
    command = [str(OCELLI), "up", "--quiet", "--only", ",".join([*SERVICES, "gateway"])]
    began = time.monotonic()
    with started(command, bench.folder / f"up{turn}.log", {"state": bench.folder / "up", **_addresses()}) as up:
        up.wait(lambda: up.wrote("Ocelli is ready"))
        return time.monotonic() - began


def _addresses() -> dict[str, object]:
    """Ports of their own for all processes, and where the gateway finds the services."""
    names = [f"{name}__{port}" for name in (*SERVICES, "gateway") for port in ("port", "management_port")]
    settings: dict[str, object] = dict(zip(names, free_ports(len(names)), strict=True))
    found = {f"gateway__{name}": f"http://127.0.0.1:{settings[f'{name}__port']}" for name in SERVICES}
    return {**settings, **found}
