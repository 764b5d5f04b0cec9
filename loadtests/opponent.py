"""The bare side of a comparison, in a process of its own that answers a line for a line."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from loadtests.processes import Bench, Worker


@dataclass(frozen=True, slots=True)
class Opponent:
    """Bare pipelines that run a round when they are asked to."""

    worker: Worker

    @classmethod
    def start(cls, bench: Bench, *pipelines: str, weights: Path) -> "Opponent":
        """`pipelines` as `loadtests.bare` names them; they load `weights` while others do their own."""
        return cls(bench.work("loadtests.bare", *pipelines, "--weights", str(weights)))

    def rate(self, seconds: float, **wanted: object) -> Callable[[], float]:
        """A measurement: pictures per second. `wanted` is what `loadtests.bare.Round` has beside the seconds."""

        def measure() -> float:
            done = self._round({"seconds": seconds, **wanted})
            return done["pictures"] / done["seconds"]

        return measure

    def median_ms(self, seconds: float) -> Callable[[], float]:
        """A measurement: milliseconds that half of all pictures, one at a time, take at most."""
        return lambda: self._round({"seconds": seconds})["median"] * 1000

    def _round(self, wanted: dict[str, object]) -> dict[str, float]:
        done: dict[str, float] = json.loads(self.worker.ask(json.dumps(wanted)))
        return done
