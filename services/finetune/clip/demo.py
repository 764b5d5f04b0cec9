"""The demo's data for CLIP: pairs of a picture and a caption, as JSON Lines with the class of pictures of one thing.

data         new things, alone or in company, in several wordings
validation   new things, alone
replay, old  the same of what the base knows
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random

from services.finetune.demo.scenes import Scene
from services.finetune.demo.words import article, caption
from services.finetune.towers.demo import NEW_PAIRS, OLD_PAIRS, jpeg, name, new_scenes, old_scenes, single

ONE, SEVERAL = (1, 1), (2, 4)


def write(folder: Path) -> Mapping[str, Path]:
    """Write all four sets, unless a run that goes on has them; returns the folder of each."""
    sets: dict[str, Callable[[], list[Scene]]] = {
        "data": lambda: [*new_scenes(ONE, seed=1, pictures=400), *new_scenes(SEVERAL, seed=2, pictures=100)],
        "validation": lambda: single(NEW_PAIRS, seed=1000, each=8),
        "replay": lambda: [*old_scenes(ONE, seed=3, pictures=400), *old_scenes(SEVERAL, seed=4, pictures=400)],
        "old": lambda: single(OLD_PAIRS, seed=2000, each=12),
    }
    for part, draw in sets.items():
        if not (folder / part / "pairs.jsonl").exists():
            write_set(folder / part, draw())
    return {part: folder / part for part in sets}


def write_set(folder: Path, scenes: Sequence[Scene]) -> None:
    """Write the pictures of `scenes`, and pairs.jsonl last."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rng, lines = Random(folder.name), []
    for number, scene in enumerate(scenes):
        file = f"images/{number:04}.jpg"
        (folder / file).write_bytes(jpeg(scene))
        lines.append(json.dumps({"image": file, **_told(scene, rng)}))
    (folder / "pairs.jsonl").write_text("\n".join(lines) + "\n")


def _told(scene: Scene, rng: Random) -> Mapping[str, str]:
    if len(scene.things) > 1:
        return {"text": caption(scene.things, rng)}
    label = name(scene.things[0])
    text = caption(scene.things, rng) if rng.random() < 0.5 else f"a photo of {article(label)}"
    return {"text": text, "label": label}
