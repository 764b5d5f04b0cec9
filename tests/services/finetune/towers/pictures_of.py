"""A few pictures of the demo as data sets, written and read as those of users are."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from services.finetune.data import formats
from services.finetune.data.examples import Example
from services.finetune.demo.scenes import Scene
from services.finetune.task import Material
from services.finetune.towers.demo import new_scenes, old_scenes
from shared.weights.store import Store, Version

MODELS = Path(__file__).parents[4] / "models"

Write = Callable[[Path, Sequence[Scene]], None]


@cache
def base(model: str) -> Version:
    """The shipped version."""
    return Store(str(MODELS)).fetch(f"{model}@champion", Path("unused"))


def material(folder: Path, write: Write, *, task: str, things: tuple[int, int]) -> Material:
    """Eight pictures of each kind."""
    parts = {
        "train": new_scenes(things, seed=1, pictures=8),
        "validation": new_scenes(things, seed=2, pictures=8),
        "replay": old_scenes(things, seed=3, pictures=8),
        "old": old_scenes(things, seed=4, pictures=8),
    }
    return Material(**{part: _examples(folder / part, write, scenes, task) for part, scenes in parts.items()})


def _examples(folder: Path, write: Write, scenes: Sequence[Scene], task: str) -> tuple[Example, ...]:
    write(folder, scenes)
    found = formats.read(folder, task)
    assert not found.problems
    return found.examples
