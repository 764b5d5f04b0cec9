"""Pictures of shapes world with conversations about them, small enough to be learnt in a test."""

import json
from pathlib import Path
from random import Random

from PIL import Image

from services.finetune.data.examples import ChatExample, Place, Source, Turn
from services.finetune.demo import render
from services.finetune.demo.dialogues import conversation
from services.finetune.demo.pictures import draw
from services.finetune.demo.scenes import Scene
from services.finetune.llava import demo
from services.finetune.llava.scenes import Renamed, renamed
from shared.weights.store import Store, Version

MODELS = Path(__file__).parents[4] / "models"


def base(folder: Path) -> Version:
    """The shipped LLaVA."""
    return Store(str(MODELS)).fetch("llava@champion", folder)


def drawn(scene: Scene, file: Path) -> Source:
    """The picture of a scene as a file."""
    Image.fromarray(render.picture(scene, 128)).save(file)
    return Source(file)


def said(*parts: str | Source, answer: str, kind: str = "") -> ChatExample:
    """A question, in its parts, and the answer to it."""
    return ChatExample((Turn("user", parts), Turn("assistant", (answer,))), Place(Path("said.jsonl"), "line 1"), kind)


def chats(folder: Path, *, pictures: int, each: int, new: bool, seed: int = 1) -> list[ChatExample]:
    """Conversations about pictures, `each` about every one of them, with new words or without."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for number in range(pictures):
        rng = Random(f"{seed}/{new}/{number}")
        old = draw([demo.WORLD], seed=rng.getrandbits(40), index=0)
        seen = renamed(old, rng) if new else Renamed(old, {})
        picture = drawn(seen.scene, folder / f"{seed}-{new}-{number}.png")
        for _ in range(each):
            turns = [seen.told(turn) for turn in conversation(old, demo.WEIGHTS, rng)]
            told = [
                turn
                for at, one in enumerate(turns)
                for turn in (
                    Turn("user", (one.question,) if at else (picture, one.question)),
                    Turn("assistant", (one.answer,)),
                )
            ]
            found.append(ChatExample(tuple(told), Place(folder, f"picture {number}"), turns[-1].kind))
    return found


def lines(file: Path) -> list[dict[str, object]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text().splitlines()]
