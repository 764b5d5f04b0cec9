"""The figures that the README states of CLIP and OWL-ViT, recomputed on a sample."""

from services.finetune.demo.pictures import WITHHELD_ONLY, WORLD
from tests.e2e.conftest import House
from tests.e2e.open_accuracy import open_detection, zero_shot


def test_clip_names_pairs_that_it_saw_and_pairs_that_were_withheld(house: House) -> None:
    assert zero_shot(house.client, WORLD, 40) >= 0.95
    assert zero_shot(house.client, WITHHELD_ONLY, 40) >= 0.92


def test_owlvit_finds_pairs_that_it_saw_and_pairs_that_were_withheld(house: House) -> None:
    figures = open_detection(house.client, 30)
    assert figures["mAP50"] >= 0.94, figures
    assert figures["AP50 withheld"] >= 0.9, figures
