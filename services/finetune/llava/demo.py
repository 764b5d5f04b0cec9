"""The demo's data: pictures with a new shape and new colours, and dialogues about them, as a user would bring them.

data/        dialogues about new scenes; most name something new
validation/  one question about a held-out new scene each; all name something new
replay/      dialogues about old scenes
old/         one question about a held-out old scene each
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from services.finetune.demo import render
from services.finetune.demo.dialogues import Turn, conversation
from services.finetune.demo.facts import KINDS, fact
from services.finetune.demo.pictures import WHOLE, draw
from services.finetune.demo.questions import asked
from services.finetune.demo.scenes import Scene
from services.finetune.llava.scenes import Renamed, names_new, renamed

SIDE = 128  # pixels
WORLD = replace(WHOLE, things=(1, 4))
PICTURES = {"data": 600, "validation": 300, "replay": 1200, "old": 300}
DIALOGUES = 10  # about each picture that is learnt from
NEW = 0.7  # share of the dialogues about new scenes that name something new
WEIGHTS: Mapping[str, float] = {
    "count": 1.5,
    "colour_count": 1.2,
    "pair_count": 0.6,
    "total": 0.4,
    "colour": 0.9,
    "shape": 1.1,
    "pair": 1.8,
    "single": 0.9,
    "where": 1.2,
    "where_one": 0.8,
    "absent": 0.8,
    "caption": 2.5,
}
NOVEL, LEARNT = ("data", "validation"), ("data", "replay")
SEEDS = {"data": 71, "replay": 72, "validation": 9_000_071, "old": 9_000_072}


def write(folder: Path, *, share: float = 1.0) -> dict[str, Path]:
    """Write the four data sets, or a `share` of each, unless a run that goes on has them; returns the path of each."""
    paths = {name: folder / name / "dialogues.jsonl" for name in PICTURES}
    for name, path in paths.items():
        if not path.exists():
            _write(path, name, round(share * PICTURES[name]))
    return paths


def _write(path: Path, name: str, count: int) -> None:
    """Write the pictures beside `path`, and `path` last."""
    (path.parent / "pictures").mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(count):
        picture = f"pictures/{number:04}.png"
        scene, told = _picture(f"{SEEDS[name]}/{number}", new=name in NOVEL, learnt=name in LEARNT)
        Image.fromarray(render.picture(scene, SIDE)).save(path.parent / picture, compress_level=1)
        lines += [json.dumps(_line(picture, turns)) + "\n" for turns in told]
    path.write_text("".join(lines))


def _picture(luck: str, *, new: bool, learnt: bool) -> tuple[Scene, list[list[Turn]]]:
    """A scene, and what is said of it."""
    rng = Random(luck)
    old = draw([WORLD], seed=rng.getrandbits(40), index=0)
    seen = renamed(old, rng) if new else Renamed(old, {})
    says = _dialogues(old, seen, rng, new=new) if learnt else _questions(old, seen, rng, new=new)
    told: dict[tuple[Turn, ...], None] = {}  # a set in order: nothing is told twice of a picture
    while len(told) < (DIALOGUES if learnt else 1):
        told[tuple(next(says))] = None
    return seen.scene, [*map(list, told)]


def _dialogues(old: Scene, seen: Renamed, rng: Random, *, new: bool) -> Iterator[list[Turn]]:
    while True:
        turns = [seen.told(each) for each in conversation(old, WEIGHTS, rng)]
        if not new or rng.random() > NEW or any(map(names_new, turns)):
            yield turns


def _questions(old: Scene, seen: Renamed, rng: Random, *, new: bool) -> Iterator[list[Turn]]:
    """Questions of all kinds alike; `total` names nothing."""
    kinds = [kind for kind in KINDS if kind != "total" or not new]
    while True:
        known = fact(old, rng.choice(kinds), rng)
        told = known and seen.told(Turn(known.kind, asked(known, rng), known.answer))
        if told and (names_new(told) or not new):
            yield [told]


def _line(picture: str, turns: list[Turn]) -> dict[str, Any]:
    messages = []
    for number, each in enumerate(turns):
        asked = [{"type": "text", "text": each.question}]
        messages += [
            {"role": "user", "content": asked if number else [{"type": "image"}, *asked]},
            {"role": "assistant", "content": [{"type": "text", "text": each.answer}]},
        ]
    return {"images": [picture], "messages": messages, "kind": turns[-1].kind}
