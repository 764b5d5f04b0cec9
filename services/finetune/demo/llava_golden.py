"""Golden cases of the LLaVA: chats about small pictures, and the tokens that its own published weights answer.

A chat is chosen only if the answer is right and every token leads the second best by far: rounding on another device
may not turn it into another one.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from transformers import LlavaForConditionalGeneration, LlavaProcessor

from services.finetune.demo.llava_chat import Chat, Reply, replies
from services.finetune.demo.llava_metrics import plain, second, two_pictures
from services.finetune.demo.llava_training import FEW

CANDIDATES = 20  # chats looked at for each case
LEAD = 1.0  # of a token's logit over the second best
WORLD = replace(FEW, things=(3, 4), noise=0)  # pictures without noise are small as files
KINDS = ("count", "colour_count", "colour", "pair", "where", "caption")
MAKERS: tuple[Callable[[Random], tuple[Chat, str]], ...] = (
    *(partial(plain, kind=kind, world=WORLD) for kind in KINDS),
    partial(second, world=WORLD),
    partial(two_pictures, world=WORLD),
)


def write_golden(model: LlavaForConditionalGeneration, processor: LlavaProcessor, folder: Path, *, seed: int) -> int:
    """Write `golden.json` and the pictures it names; returns the number of cases, which is less for a poor model."""
    (folder / "golden").mkdir()
    cases: list[dict[str, Any]] = []
    for number, maker in enumerate(MAKERS):
        exams = [maker(Random(f"{seed}/{number}/{candidate}")) for candidate in range(CANDIDATES)]
        best = _clearest(model, processor, exams)
        if best:
            cases.append(_case(*best, folder, number))
    (folder / "golden.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
    return len(cases)


def _clearest(
    model: LlavaForConditionalGeneration, processor: LlavaProcessor, exams: list[tuple[Chat, str]]
) -> tuple[Chat, Reply] | None:
    """The chat that the model answers rightly and with the least doubt, if that is little enough."""
    told = replies(model, processor, [chat for chat, _ in exams])
    right = [(chat, reply) for (chat, answer), reply in zip(exams, told, strict=True) if reply.text == answer]
    best = max(right, key=lambda found: found[1].lead, default=None)
    return best if best and best[1].lead > LEAD else None


def _case(chat: Chat, reply: Reply, folder: Path, number: int) -> dict[str, Any]:
    """The case as JSON, each picture as a file of its own."""
    names = [f"golden/{number}-{at}.png" for at in range(len(chat.pictures))]
    for name, picture in zip(names, chat.pictures, strict=True):
        picture.save(folder / name, optimize=True)
    left = iter(names)
    messages = [
        message | {"content": [p | {"image": next(left)} if p["type"] == "image" else p for p in message["content"]]}
        for message in chat.messages
    ]
    return {"messages": messages, "answer": reply.text, "tokens": reply.tokens}
