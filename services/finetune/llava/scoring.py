"""How a network does on conversations without saying a word of its own: loss, and whole answers that it would give.

An answer whose every token is the likeliest after the right ones before it is what greedy decoding says.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F

from services.finetune.llava import network
from services.finetune.llava.rows import collate, rows
from services.finetune.llava.script import IGNORED, Script
from shared.accel.pixels import PixelConfig

BATCH = 32


class Score(NamedTuple):
    """Mean loss of a token that is learnt, and the share of conversations all of whose answers are right."""

    loss: float
    exact_match: float


@torch.inference_mode()
def score(module: Any, scripts: Sequence[Script], config: PixelConfig) -> Score:
    """Score the module as it is, in evaluation mode."""
    module.eval()
    losses, right = [], []
    for first in range(0, len(scripts), BATCH):
        single = [row for script in scripts[first : first + BATCH] for row in rows([script])]
        shown = network.pixels([picture for row in single for picture in row.pictures], config)
        batch = {name: value.to(module.device) for name, value in network.inputs(collate(single), shown).items()}
        labels = batch.pop("labels")[:, 1:]
        logits = module(**batch, use_cache=False).logits[:, :-1].float()
        losses.append(F.cross_entropy(logits.transpose(1, 2), labels, ignore_index=IGNORED, reduction="none"))
        right += ((logits.argmax(-1) == labels) | (labels == IGNORED)).all(1).tolist()
    learnt = sum(sum(label != IGNORED for label in script.labels) for script in scripts)
    return Score(sum(float(each.sum()) for each in losses) / max(1, learnt), sum(right) / max(1, len(right)))
