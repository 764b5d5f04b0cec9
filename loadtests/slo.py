"""What the documentation promises to users, per service: read from `docker/prometheus/slo.py`, their one home."""

import runpy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from loadtests.processes import ROOT

HOME = ROOT / "docker" / "prometheus" / "slo.py"


@dataclass(frozen=True, slots=True)
class Promise:
    """Shares of the requests to a service: those that are answered, and those answers that take at most `seconds`."""

    service: str
    answered: float
    fast: float
    seconds: float

    def keeps(self, good: int, total: int, share: float) -> bool:
        """Whether `good` of `total` are at least `share` of them."""
        return total - good <= (1 - share) * total + 1e-9


@cache
def promises() -> Mapping[str, Promise]:
    """The promise of each service; of llava, `seconds` are those until the first token."""
    found: dict[str, dict[str, tuple[float, float | None]]] = {}
    for objective in runpy.run_path(str(HOME))["OBJECTIVES"]:
        found.setdefault(objective.service, {})[objective.slo] = (objective.share, objective.seconds)
    return {
        service: Promise(service, kinds["availability"][0], kinds["latency"][0], kinds["latency"][1] or 0.0)
        for service, kinds in found.items()
    }
