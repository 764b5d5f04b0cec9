"""The house around a network: a checkpoint into the store by our own command, a service with it, a gateway in front."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from loadtests.processes import ROOT, Bench, Child

OCELLI = Path(sys.executable).with_name("ocelli")
LONG_S = 600  # a full-size network under load takes longer than a caller would wait


@dataclass(frozen=True, slots=True)
class Weights:
    """A Hugging Face directory, and the store that has it (None: a state of its own, with the shipped weights)."""

    folder: Path
    store: Path | None

    @classmethod
    def of(cls, bench: Bench, model: str, write: Callable[[Path], Path]) -> "Weights":
        """What `write` writes, published as `model`; a quick run takes the shipped weights, which are small."""
        if bench.quick:
            return cls(shipped(model), None)
        folder = write(bench.folder / f"random-{model}")
        return cls(folder, publish(bench, folder, model))


class Pair(NamedTuple):
    """A service, and the gateway in front of it."""

    service: Child
    gateway: Child


def shipped(model: str) -> Path:
    """The directory of the champion that comes with this release."""
    newest = max((ROOT / "models" / "aliases" / model / "champion").iterdir())
    folder: Path = ROOT / "models" / "models" / model / json.loads(newest.read_bytes())["version"]
    return folder


def publish(bench: Bench, source: Path, model: str, *arguments: str) -> Path:
    """The store, with `source` as the champion of `model`."""
    store = bench.folder / "store"
    if not (store / "models" / model).exists():
        command = [str(OCELLI), "models", "import", str(source), "--store", str(store), "--as", model, "--champion"]
        publishing = bench.run([*command, *arguments])
        publishing.wait(lambda: publishing.wrote(f"{model}@champion ->"))
    return store


def serve(bench: Bench, service: str, weights: Weights, **settings: object) -> Child:
    """`service` with `weights` for its default model, behind a gateway of its own, which is returned."""
    return pair(bench, service, weights, **settings).gateway


def pair(bench: Bench, service: str, weights: Weights, **settings: object) -> Pair:
    """`service` with `weights` for its default model, and a gateway of its own."""
    store = {"store": weights.store} if weights.store else {}
    behind = bench.start(f"services.{service}", deadline_s=LONG_S, **store, **settings)
    times = {"deadline_s": LONG_S, "try_s": LONG_S, "idle_s": LONG_S}
    return Pair(behind, bench.start("services.gateway", **times, **{service: behind.url}))
