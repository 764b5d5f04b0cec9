from dataclasses import replace

import torch

from services.finetune.demo.owlvit_loss import FITS, assign, detection_loss, patch_box_loss
from services.finetune.demo.owlvit_network import Answer
from services.finetune.demo.pictures import PATCHES, WORLD, Truth, truth
from services.finetune.demo.scenes import scene
from services.finetune.demo.words import PAIRS, QUERIES, Query

APART = replace(WORLD, touching=0.0)


def shown() -> Truth:
    return truth([scene(APART, seed=3, index=index) for index in range(8)])


def answer(told: Truth, patches: torch.Tensor, *, confidence: float = 8.0) -> Answer:
    """Everything right at `patches`, one for each thing, and nothing anywhere else."""
    pictures = len(told.owners)
    logits = torch.full((pictures, PATCHES, len(QUERIES)), -confidence)
    logits[told.pictures, patches] = confidence * (2 * FITS[told.pairs] - 1)
    boxes = torch.full((pictures, PATCHES, 4), 0.03)
    boxes[told.owners >= 0] = told.boxes[told.owners[told.owners >= 0]]
    empty = torch.zeros(pictures, PATCHES, 1)
    return Answer(empty, logits, empty, boxes.logit())


def test_a_pair_fits_its_own_query_its_shape_and_its_colour() -> None:
    row = FITS[PAIRS.index(Query("red", "circle"))]
    assert [QUERIES[number] for number in row.nonzero().flatten().tolist()] == [
        Query("red", "circle"),
        Query(None, "circle"),
        Query("red", None),
    ]


def test_the_patch_that_answers_best_is_the_one_that_is_trained() -> None:
    told = shown()
    last = torch.tensor([int((told.owners == thing).nonzero()[-1, 1]) for thing in range(len(told.boxes))])

    assert assign(answer(told, last), told, FITS[told.pairs]).tolist() == last.tolist()


def test_every_thing_is_assigned_one_of_its_own_patches() -> None:
    told = shown()
    torch.manual_seed(0)
    random = replace(answer(told, told.centres), logits=torch.randn(8, PATCHES, len(QUERIES)))

    chosen = assign(random, told, FITS[told.pairs])
    assert told.owners[told.pictures, chosen].tolist() == list(range(len(told.boxes)))


def test_a_right_answer_costs_next_to_nothing() -> None:
    told = shown()
    right = answer(told, told.centres)

    assert detection_loss(right, told).item() < 0.01
    assert patch_box_loss(right, told).item() < 0.01


def test_doubt_false_labels_and_moved_boxes_cost() -> None:
    told = shown()
    right = detection_loss(answer(told, told.centres), told)
    doubtful = answer(told, told.centres, confidence=0.5)
    wrong = replace(doubtful, logits=answer(told, told.centres).logits.roll(1, dims=2))
    moved = replace(doubtful, logits=answer(told, told.centres).logits, box_logits=doubtful.box_logits + 0.5)

    assert all(detection_loss(worse, told) > right + 0.1 for worse in (doubtful, wrong, moved))
