"""What one step of OWL-ViT learns from: who answers for what, and what the loss asks for."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import OwlViTForObjectDetection

from services.finetune.owlvit.finder import KEEP, Finder, Seen, matched, moved, see
from services.finetune.towers.memory import Memory
from services.owlvit import weights
from tests.services.finetune.towers.pictures_of import base

PATH: Path = base("owlvit").path
NONE = {"boxes": torch.zeros(0, 4), "pictures": torch.zeros(0).long(), "labels": torch.zeros(0).long()}
IDS = torch.tensor([[729, 647, 681, 730], [729, 647, 730, 0]])


def network() -> torch.nn.Module:
    return weights.read(PATH).pretrained.module.eval()


def pixels(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 128, 128, generator=torch.Generator().manual_seed(1))


def seen(logits: list[list[list[float]]], boxes: list[list[list[float]]]) -> Seen:
    return Seen(torch.eye(2), torch.tensor(logits), torch.tensor(boxes), torch.ones(len(boxes), len(boxes[0]), 2))


def test_it_says_what_transformers_own_forward_says() -> None:
    with torch.no_grad():
        ours = see(network(), pixels(), IDS)
        model = OwlViTForObjectDetection.from_pretrained(PATH, dtype=torch.float32)
        mask = (torch.arange(4) < torch.tensor([[4], [3]])).long()
        theirs = model(input_ids=IDS.repeat(2, 1), attention_mask=mask.repeat(2, 1), pixel_values=pixels())
    assert torch.allclose(ours.logits, theirs.logits, atol=1e-3)
    assert torch.allclose(ours.boxes, theirs.pred_boxes, atol=1e-4)


def test_each_object_gets_a_patch_of_its_own_in_its_picture() -> None:
    near, far = [0.5, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1]
    answer = seen([[[0.0, 0.0]] * 3] * 2, [[far, near, near], [near, far, far]])
    match = matched(
        answer,
        boxes=torch.tensor([near, near, near]),
        pictures=torch.tensor([0, 0, 1]),
        labels=torch.tensor([0, 1, 0]),
    )
    assert sorted(match.patches[:2].tolist()) == [1, 2]
    assert match.patches[2] == 0
    assert match.wanted.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_of_patches_with_the_same_box_the_one_that_knows_the_name_answers() -> None:
    box = [0.5, 0.5, 0.2, 0.2]
    answer = seen([[[0.0, 3.0], [3.0, 0.0]]], [[box, box]])
    match = matched(answer, boxes=torch.tensor([box]), pictures=torch.tensor([0]), labels=torch.tensor([0]))
    assert match.patches.tolist() == [1]


def test_a_batch_without_objects_asks_for_silence() -> None:
    known = torch.tensor([False, False])
    loss = Finder(network(), Memory(network()))(pixels(), IDS, known, known, NONE)["loss"]
    assert loss.isfinite()
    assert loss > 0


def test_what_is_known_costs_nothing_while_it_stays() -> None:
    taught, known, free = network(), torch.tensor([True, False]), torch.tensor([False, False])
    finder = Finder(taught, Memory(taught))
    with torch.no_grad():
        assert finder(pixels(), IDS, known, known, NONE)["loss"] == pytest.approx(
            finder(pixels(), IDS, free, free, NONE)["loss"].item(), abs=1e-4
        )
        for parameter in taught.box_head.parameters():  # type: ignore[union-attr]
            parameter.mul_(0.5)
        with_memory, without = (finder(pixels(), IDS, one, one, NONE)["loss"] for one in (known, free))
    assert with_memory > without + 0.01 * KEEP


def test_only_what_is_known_is_held_to_the_base() -> None:
    before = seen([[[0.0, 0.0]]], [[[0.5, 0.5, 0.2, 0.2]]])
    after = Seen(before.queries.flip(1), *(part.repeat(2, *[1] * (part.ndim - 1)) for part in before[1:]))
    known = torch.tensor([False, True])
    assert moved(before, after, known=known, known_queries=torch.tensor([False, False])) == pytest.approx(0, abs=1e-5)
    assert moved(before, after, known=known, known_queries=torch.tensor([True, True])) == pytest.approx(1)
