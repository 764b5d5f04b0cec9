import pytest
import torch
from torch import Tensor, nn

from services.finetune.demo.detector_batches import batch
from services.finetune.demo.detector_metrics import PICTURES, evaluate, mask_fits
from services.finetune.demo.scenes import World

WORLD, SEED = World(), 3


class Oracle(nn.Module):
    """Answers with the truth, which it renders itself; `lost` things are left out of each picture."""

    def __init__(self, lost: int = 0) -> None:
        super().__init__()
        self.lost, self.number = lost, 0

    def forward(self, pictures: list[Tensor]) -> list[dict[str, Tensor]]:
        truth = batch(WORLD, seed=SEED, number=self.number, count=len(pictures))
        self.number += 1
        return [self.answer(target) for target in truth.targets]

    def answer(self, target: dict[str, Tensor]) -> dict[str, Tensor]:
        masks = target["masks"][self.lost :, None].float()
        kept = {name: target[name][self.lost :] for name in ("boxes", "labels")}
        return {**kept, "masks": masks, "scores": torch.ones(len(masks))}


def test_the_truth_itself_is_perfect() -> None:
    figures = evaluate(Oracle(), WORLD, seed=SEED, scenes=PICTURES)
    assert figures == {"map": 1.0, "map_50": 1.0, "map_75": 1.0, "mask_iou": 1.0}


def test_a_missed_thing_costs_precision_and_says_nothing_about_masks() -> None:
    figures = evaluate(Oracle(lost=1), WORLD, seed=SEED, scenes=PICTURES)
    assert 0.3 < figures["map_50"] < 0.95
    assert figures["mask_iou"] == 1.0


def test_the_fit_of_a_mask_is_intersection_over_union_with_the_thing_that_was_found() -> None:
    held_out = batch(WORLD, seed=SEED, number=0, count=3)
    answers = [Oracle().answer(target) for target in held_out.targets]
    for answer in answers:
        answer["masks"] = answer["masks"].clone()
        answer["masks"][..., ::2, :] = 0  # every other line is gone
    assert mask_fits(answers, held_out).mean() == pytest.approx(0.5, abs=0.03)


def test_a_wrong_label_or_a_low_score_is_not_found() -> None:
    held_out = batch(WORLD, seed=SEED, number=0, count=3)
    answers = [Oracle().answer(target) for target in held_out.targets]
    answers[0]["labels"] = answers[0]["labels"] % 8 + 1
    answers[1]["scores"] = answers[1]["scores"] * 0.4
    assert len(mask_fits(answers, held_out)) == len(held_out.targets[2]["labels"])
