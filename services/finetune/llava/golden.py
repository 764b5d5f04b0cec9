"""Golden cases of a version: conversations of the validation, and the tokens that transformers' own network answers.

examples -> greedy answers of the network as it is written -> those that are right and without doubt -> golden.json

Every token of a case leads the second best by far: rounding on another device may not turn it into another one.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import torch
from PIL import Image, ImageOps

from services.finetune.data.examples import ChatExample, Source, Turn, pictures
from services.finetune.draft import with_manifest
from services.finetune.llava import network
from services.finetune.llava.script import Scribe, Script
from services.llava import weights
from services.llava.weights import State

CASES, CANDIDATES = 6, 40
LEAD = 1.0  # of a token's logit over the second best
SIDE = 512  # pixels of a golden picture, at most


@dataclass(frozen=True, slots=True)
class Reply:
    """The tokens of an answer with the mark of its end, and the smallest lead of one of them."""

    tokens: tuple[int, ...]
    lead: float


def write_golden(version: Path, examples: Sequence[ChatExample], *, seed: int) -> int:
    """Write `golden.json` and its pictures into a version directory; returns the number of cases."""
    with with_manifest(version, "llava") as folder:
        state = weights.read(folder, torch.float32)
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    (version / "golden").mkdir()
    cases: list[str] = []
    for example in Random(seed).sample(examples, min(CANDIDATES, len(examples))):
        if len(cases) == CASES:
            break
        shown = [_small(picture) for picture in pictures(example)]
        script = scribe.write(example)
        reply = _reply(state, script, shown)
        if reply.tokens == script.answer and reply.lead > LEAD:
            cases.append(json.dumps(_case(example, reply, shown, version / "golden", len(cases))))
    (version / "golden.json").write_text("[\n" + ",\n".join(cases) + "\n]\n")
    return len(cases)


@torch.inference_mode()
def _reply(state: State, script: Script, shown: Sequence[bytes]) -> Reply:
    """What the network says where the last answer begins, as far as that answer goes."""
    prompt = torch.tensor([script.ids[: -len(script.answer)]])
    seen = network.prepared(shown, state.pixels)
    output = state.module.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=len(script.answer),
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        **({} if seen is None else {"pixel_values": seen}),
    )
    leads = torch.cat(output.logits).float().topk(2).values.diff(dim=-1).abs()
    return Reply(tuple(output.sequences[0, prompt.shape[1] :].tolist()), float(leads.min()))


def _small(picture: Source) -> bytes:
    """The picture as a PNG that is small as a file."""
    image = ImageOps.exif_transpose(Image.open(BytesIO(picture.read()))).convert("RGB")
    image.thumbnail((SIDE, SIDE))
    file = BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def _case(example: ChatExample, reply: Reply, shown: Sequence[bytes], folder: Path, number: int) -> dict[str, Any]:
    """The case as JSON, each picture as a file of its own."""
    names = iter([f"{folder.name}/{number}-{at}.png" for at in range(len(shown))])
    for at, picture in enumerate(shown):
        (folder / f"{number}-{at}.png").write_bytes(picture)
    messages = [{"role": turn.role, "content": _content(turn, names)} for turn in example.turns[:-1]]
    return {"messages": messages, "tokens": reply.tokens}


def _content(turn: Turn, names: Iterator[str]) -> list[dict[str, str]]:
    return [
        {"type": "text", "text": part} if isinstance(part, str) else {"type": "image", "image": next(names)}
        for part in turn.parts
    ]
