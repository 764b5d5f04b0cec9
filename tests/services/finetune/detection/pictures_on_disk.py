"""Small COCO folders of shapes world, as examples."""

from collections.abc import Callable
from pathlib import Path

from services.finetune.data import coco
from services.finetune.data.examples import DetectionExample
from services.finetune.demo.novel import familiar, novel
from services.finetune.demo.scenes import Scene
from services.finetune.detection import demo
from services.finetune.task import Material
from shared.weights.store import Store, Version

SHIPPED = Store(str(Path(__file__).resolve().parents[4] / "models"))


def examples(folder: Path, draw: Callable[..., Scene], count: int) -> list[DetectionExample]:
    """Pictures of the scenes that `draw` draws."""
    path = demo.write(folder, {"part": (draw, count, 77)})["part"]
    return [example for example in coco.read(path).examples if isinstance(example, DetectionExample)]


def material(folder: Path, count: int = 4) -> Material:
    """New and old pictures: `count` of each to learn from, and `count` to judge by."""
    new, old = (examples(folder / draw.__name__, draw, 2 * count) for draw in (novel, familiar))
    return Material(new[:count], new[count:], old[:count], old[count:])


def shipped(model: str, cache: Path) -> Version:
    """The champion of a demo model."""
    return SHIPPED.fetch(f"{model}@champion", cache)
