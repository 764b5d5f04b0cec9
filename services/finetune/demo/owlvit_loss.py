"""The loss of OWL-ViT (https://arxiv.org/abs/2205.06230, 3.2): set prediction with focal loss, L1 and GIoU.

A patch belongs to one thing at most, so the best one-to-one assignment is, for each thing, the cheapest of its own
patches; no Hungarian search is needed. That patch is to answer all queries that fit, every other patch none.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import box_convert, generalized_box_iou_loss, sigmoid_focal_loss

from services.finetune.demo.owlvit_network import Answer
from services.finetune.demo.pictures import Truth
from services.finetune.demo.words import PAIRS, QUERIES

FITS = torch.tensor([[float(query.fits(pair)) for query in QUERIES] for pair in PAIRS])
SMALL = 0.03  # side of the boxes on background


class Match(NamedTuple):
    """Which patch answers for which thing, and what it is to say."""

    pictures: Tensor  # [things] the picture it is in
    patches: Tensor  # [things]
    wanted: Tensor  # [things, queries] 1 where the query asks for the thing
    boxes: Tensor  # [things, 4] centre x, centre y, width, height, in 0-1 of the picture


def detection_loss(answer: Answer, truth: Truth) -> Tensor:
    """The loss of an answer to `QUERIES`."""
    wanted = FITS[truth.pairs]
    chosen = assign(answer, truth, wanted)
    return set_loss(answer.logits, answer.boxes, Match(truth.pictures, chosen, wanted, truth.boxes))


def set_loss(logits: Tensor, boxes: Tensor, match: Match) -> Tensor:
    """The loss of `logits` `[pictures, patches, queries]` and `boxes` `[pictures, patches, 4]`, by thing."""
    targets = torch.zeros_like(logits)
    targets[match.pictures, match.patches] = match.wanted
    # torchvision's alpha weighs the positives.
    focal: Tensor = sigmoid_focal_loss(logits, targets, alpha=0.25, gamma=2, reduction="sum")
    chosen = boxes[match.pictures, match.patches]
    loss: Tensor = 2 * focal + box_cost(chosen, match.boxes).sum()
    return loss / max(1, len(match.patches))


def box_cost(boxes: Tensor, true: Tensor) -> Tensor:
    """How far `boxes` are from those that are `true`, both `[..., 4]`: L1 and GIoU, weighted as in the paper."""
    return 5 * (boxes - true).abs().sum(-1) + 2 * _giou_loss(boxes, true)


@torch.no_grad()
def assign(answer: Answer, truth: Truth, wanted: Tensor) -> Tensor:
    """`[things]`: of the patches of each thing, the one that is best at its box and its queries `wanted`."""
    boxes, scores = answer.boxes[truth.pictures], answer.logits[truth.pictures].sigmoid()
    fit = torch.einsum("tpq,tq->tp", scores, wanted / wanted.sum(1, keepdim=True))
    cost = box_cost(boxes, truth.boxes[:, None].expand_as(boxes)) - 2 * fit
    things = torch.arange(len(cost))
    own = truth.owners[truth.pictures] == things[:, None]
    own[things, truth.centres] = True
    return cost.masked_fill(~own, torch.inf).argmin(1)


def patch_box_loss(answer: Answer, truth: Truth) -> Tensor:
    """Every patch of a thing tells its box, and every other patch a tiny one: image queries choose the largest.

    The former counts in logits, since the last row and column begin with a sigmoid that is saturated.
    """
    owned = truth.owners >= 0
    boxes = truth.boxes[truth.owners[owned]].clamp(0.01, 0.99)
    sides = answer.boxes[~owned][:, 2:]
    return F.l1_loss(answer.box_logits[owned], boxes.logit()) + (sides - SMALL).abs().mean()


def _giou_loss(boxes: Tensor, true: Tensor) -> Tensor:
    """One minus the generalised IoU of boxes that are paired, with the shape of `[..., 4]` less the last axis."""
    corners = [box_convert(b.reshape(-1, 4), "cxcywh", "xyxy") for b in (boxes, true)]
    loss: Tensor = generalized_box_iou_loss(*corners).reshape(boxes.shape[:-1])
    return loss
