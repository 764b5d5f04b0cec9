"""The figures that the README states of CLIP and OWL-ViT, recomputed on a sample."""

from services.finetune.demo.owlvit_metrics import ALL
from services.finetune.demo.pictures import WITHHELD_ONLY, WORLD
from tests.e2e.clip_accuracy import zero_shot
from tests.e2e.owlvit_accuracy import alone, by_example, together
from tests.house import House


def test_clip_names_pairs_that_it_saw_and_pairs_that_were_withheld(house: House) -> None:
    assert zero_shot(house.client, WORLD, 40) >= 0.95
    assert zero_shot(house.client, WITHHELD_ONLY, 40) >= 0.92


def test_owlvit_finds_pairs_that_it_saw_and_pairs_that_were_withheld(house: House) -> None:
    figures = together(house.client, 30)
    assert figures["mAP50"] >= 0.94, figures
    assert figures["AP50 withheld"] >= 0.9, figures


def test_owlvit_answers_one_query_alone_at_its_own_threshold(house: House) -> None:
    counts = alone(house.client, 10, asked=ALL)
    assert counts.precision >= 0.9 and counts.recall >= 0.88, counts


def test_owlvit_finds_what_an_example_shows(house: House) -> None:
    first, counts = by_example(house.client, 40)
    assert first >= 0.95
    assert counts.precision >= 0.7 and counts.recall >= 0.8, counts
