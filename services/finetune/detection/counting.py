"""How many boxes a detector's losses are means over: torchvision counts those of one process, and we those of all.

matchers and samplers, counted -> a divisor for each loss -> services/finetune/training/together.py:share
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from services.finetune.training.together import share


class Counted:
    """A matcher or a sampler, and over how many of the boxes that it chose each of its losses is a mean."""

    def __init__(self, choose: Callable[..., Any], count: Callable[[Any], Sequence[Tensor]], *losses: str) -> None:
        self.choose, self._count, self.losses = choose, count, losses
        self._counts: list[Tensor] = []

    def __call__(self, *given: Any) -> Any:
        """Choose, and count."""
        chosen = self.choose(*given)
        self._counts.append(torch.stack(tuple(self._count(chosen))))
        return chosen

    def taken(self, device: torch.device) -> Tensor:
        """The numbers since it was last asked, in the order of its losses."""
        counts, self._counts = self._counts, []
        return torch.stack([torch.zeros(len(self.losses), device=device), *counts]).sum(0)


class Counters:
    """Counts in a network, in place, what SSD (matched boxes) and the R-CNNs (sampled ones) divide by."""

    def __init__(self, network: Any) -> None:
        if hasattr(network, "proposal_matcher"):
            matched = Counted(network.proposal_matcher, _matched, "bbox_regression", "classification")
            network.proposal_matcher = matched
            self._each: tuple[Counted, ...] = (matched,)
            return
        proposed = Counted(network.rpn.fg_bg_sampler, _sampled, "loss_objectness", "loss_rpn_box_reg", "loss_mask")
        decided = Counted(network.roi_heads.fg_bg_sampler, _sampled, "loss_classifier", "loss_box_reg", "loss_mask")
        network.rpn.fg_bg_sampler, network.roi_heads.fg_bg_sampler = proposed, decided
        self._each = (proposed, decided)  # the later has the last word on masks, which the proposals know nothing of

    def shares(self, device: torch.device) -> Mapping[str, Tensor]:
        """What each loss of this step weighs beside those of the other processes."""
        names = [name for each in self._each for name in each.losses]
        return dict(zip(names, share(torch.cat([each.taken(device) for each in self._each])), strict=True))


def _matched(indices: Tensor) -> Sequence[Tensor]:
    boxes = (indices >= 0).sum()
    return boxes, boxes


def _sampled(chosen: tuple[list[Tensor], list[Tensor]]) -> Sequence[Tensor]:
    """All boxes twice, and those on objects, which alone have masks."""
    positive, negative = (torch.stack([one.sum() for one in each]).sum() for each in chosen)
    return positive + negative, positive + negative, positive
