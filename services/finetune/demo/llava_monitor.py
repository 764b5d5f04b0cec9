"""How a LLaVA does while it learns: the share of held-out questions whose whole answer is right, by kind.

No text is generated: an answer whose every token is the likeliest one after the right ones before it is what greedy
decoding gives. One turn, one picture.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from random import Random

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from services.finetune.demo import llava_network
from services.finetune.demo.dialogues import turn
from services.finetune.demo.facts import KINDS
from services.finetune.demo.llava_packing import BIN, Batch, Row, collate, fill
from services.finetune.demo.llava_rows import BINS
from services.finetune.demo.llava_script import Script, Tokens
from services.finetune.demo.pictures import Dataset
from services.finetune.demo.scenes import Scene

BATCH = 12
SEED = 7


@torch.no_grad()
def monitored(model: LlavaForConditionalGeneration, script: Script, data: Dataset) -> dict[str, float]:
    """Shares in 0-1 by kind, and their `mean`, on one row about each picture of `data`."""
    right: dict[str, list[bool]] = defaultdict(list)
    rng = Random(SEED)
    for start in range(0, len(data), BATCH):
        chosen = range(start, min(start + BATCH, len(data)))
        rows = [Row([n], script.opening(1), fill(BINS, _asker(script, data.scenes[n], rng))) for n in chosen]
        batch = collate(rows, script)
        seen = llava_network.features(model, data.pixels(chosen))
        for tokens, whole in zip(
            _segments(rows), _whole(*llava_network.answers(model, batch, seen), batch), strict=True
        ):
            right[tokens.kind].append(whole)
    shares = {kind: round(sum(right[kind]) / len(right[kind]), 3) for kind in KINDS if right[kind]}
    return shares | {"mean": round(sum(shares.values()) / len(shares), 3)}


def _asker(script: Script, scene: Scene, rng: Random) -> Callable[[int], Tokens]:
    def ask(_: int) -> Tokens:
        asked = turn(scene, dict.fromkeys(KINDS, 1.0), rng)
        tokens = script.turns([asked])
        tokens.kind = asked.kind
        return tokens

    return ask


def _segments(rows: Sequence[Row]) -> Iterator[Tokens]:
    """All segments in the order of their tokens."""
    return (tokens for row in rows for packed in row.bins for tokens in packed)


def _whole(logits: Tensor, right: Tensor, batch: Batch) -> list[bool]:
    """Whether each segment's tokens are all the likeliest ones, in the order of the segments."""
    prefix = batch.ids.shape[1] - BINS * BIN
    told = (batch.labels[:, 1:] >= 0).nonzero() + torch.tensor([0, 1])
    found: dict[tuple[int, int, int], bool] = {}
    for (row, at), hit in zip(told.tolist(), (logits.argmax(-1) == right).tolist(), strict=True):
        place = row, (at - prefix) // BIN, int(batch.segments[row, at])
        found[place] = found.get(place, True) and hit
    return list(found.values())
