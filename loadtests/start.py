"""Starting: from the command to a house that answers, with the shipped models."""

import time

from loadtests.full_size import OCELLI
from loadtests.processes import ROOT, Bench, free_ports, started
from loadtests.report import Figure, Goal

NAME, GOAL = "ocelli up, second run, to ready", Goal(30, most=True)


def measure(bench: Bench) -> list[Figure]:
    """Seconds from `ocelli up` to its word that it is ready; the first run, which fills the local store, apart."""
    if not any((ROOT / "models" / "models").glob("*/*/manifest.json")):
        return [Figure(NAME, "s", [], GOAL, "there are no shipped models in models/ yet")]
    first, *later = [_start(bench, turn) for turn in range(2 if bench.quick else 1 + bench.rounds)]
    return [Figure(NAME, "s", later, GOAL), Figure("ocelli up, first run, to ready", "s", [first])]


def _start(bench: Bench, turn: int) -> float:
    gateway, gateway_management, detection, detection_management = free_ports(4)
    settings = {
        "state": bench.folder / "up",
        "gateway__port": gateway,
        "gateway__management_port": gateway_management,
        "gateway__detection": f"http://127.0.0.1:{detection}",
        "detection__port": detection,
        "detection__management_port": detection_management,
    }
    began = time.monotonic()
    with started([str(OCELLI), "up", "--quiet"], bench.folder / f"up{turn}.log", settings) as up:
        up.wait(lambda: up.wrote("Ocelli is ready"))
        return time.monotonic() - began
