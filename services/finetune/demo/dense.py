"""Dense supervision: every patch of a thing says which shape, colour and box that thing has, and where its centre is.

A plain ViT that learns from captions or queries alone stays long on a plateau where it knows colours and no shapes;
this supervision ends the plateau within a few hundred steps, and later keeps what was learnt.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.finetune.demo.pictures import Dataset, Truth
from services.finetune.demo.scenes import COLOURS
from services.finetune.demo.shapes import SHAPES
from services.finetune.demo.words import WITHHELD

OUTPUTS = (len(SHAPES), len(COLOURS), 4, 2)  # shape, colour, box, and whether a thing or its centre is here
# A pair that is never drawn is evidence that it does not exist, which is not what we want to teach: the withheld shape
# of a thing's colour, and the withheld colour of its shape, do not compete in its softmax.
WITHHELD_SHAPE = torch.tensor([SHAPES.index(pair.names[1]) for pair in WITHHELD])  # by colour
WITHHELD_COLOUR = WITHHELD_SHAPE.argsort()  # by shape


def head(width: int) -> nn.Linear:
    """The layer that reads all this out of a patch's `width` features."""
    return nn.Linear(width, sum(OUTPUTS))


def dense_loss(outputs: Tensor, truth: Truth, *, grey: Tensor | None = None) -> Tensor:
    """The loss of `outputs` `[pictures, patches, 22]`; `grey` `[pictures]` marks pictures without colours."""
    shape, colour, box, flags = torch.split(outputs, list(OUTPUTS), dim=-1)
    owned = truth.owners >= 0
    things = truth.owners[owned]
    shapes, colours, boxes = truth.shapes[things], truth.colours[things], truth.boxes[things]
    seen_colours = colours if grey is None else colours.masked_fill(grey[:, None].expand_as(owned)[owned], -100)
    return (
        F.cross_entropy(_without(shape[owned], WITHHELD_SHAPE[colours]), shapes)
        + F.cross_entropy(_without(colour[owned], WITHHELD_COLOUR[shapes]), seen_colours)
        + 5 * F.l1_loss(box[owned], boxes)
        + 3 * F.binary_cross_entropy_with_logits(flags, truth.flags)
    )


def _without(logits: Tensor, choice: Tensor) -> Tensor:
    """The logits `[n, choices]` with one choice of each row taken out."""
    return logits.scatter(1, choice[:, None], -1e4)


@torch.inference_mode()
def patch_accuracy(tower: nn.Module, layer: nn.Linear, data: Dataset) -> float:
    """Share of the things' patches whose shape is told rightly, in 0-1."""
    right = []
    for start in range(0, len(data), 100):
        chosen = range(start, min(start + 100, len(data)))
        truth = data.truth(chosen)
        owned = truth.owners >= 0
        told = layer(tower(data.pixels(chosen)).last_hidden_state[:, 1:])[owned][:, : len(SHAPES)].argmax(-1)
        right.append(told == truth.shapes[truth.owners[owned]])
    return torch.cat(right).float().mean().item()
