import json
from pathlib import Path

import numpy as np
from PIL import Image

from services.finetune.demo import examples, render
from services.finetune.demo.scenes import scene

SHIPPED = Path(__file__).resolve().parents[4] / "examples"


def test_the_shipped_examples_are_what_the_renderer_draws(tmp_path: Path) -> None:
    examples.write(tmp_path)

    assert json.loads((SHIPPED / "scene.json").read_text()) == json.loads((tmp_path / "scene.json").read_text())
    for name, tolerance in (("scene.jpg", 1.0), ("dark.png", 0.0)):  # another libjpeg may round otherwise
        with Image.open(SHIPPED / name) as shipped, Image.open(tmp_path / name) as drawn:
            assert shipped.size == drawn.size
            difference = np.abs(np.asarray(shipped, dtype=int) - np.asarray(drawn, dtype=int))
        assert difference.mean() <= tolerance


def test_the_truth_names_the_five_things_of_the_scene() -> None:
    truth = json.loads((SHIPPED / "scene.json").read_text())
    names = {category["id"]: category["name"] for category in truth["categories"]}

    shown = [thing.shape for thing in scene(examples.LIGHT, seed=examples.SEED, index=examples.LIGHT_INDEX).things]
    assert [names[entry["category_id"]] for entry in truth["annotations"]] == shown
    assert len(shown) == 5


def test_the_examples_are_small_files() -> None:
    assert all(path.stat().st_size < 120_000 for path in SHIPPED.iterdir())


def test_some_things_in_the_scene_touch() -> None:
    light = scene(examples.LIGHT, seed=examples.SEED, index=examples.LIGHT_INDEX)
    boxes = render.boxes(render.masks(render.instances(light, 480), 5))
    overlapping = [
        (a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]) for i, a in enumerate(boxes) for b in boxes[:i]
    ]
    assert any(overlapping)
