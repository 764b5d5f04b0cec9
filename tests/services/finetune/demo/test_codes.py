import torch
from transformers import OwlViTConfig, OwlViTModel

from services.finetune.demo import texts, tokenizer, tower
from services.finetune.demo.codes import Codes, distance
from services.finetune.demo.pictures import WORLD, truth
from services.finetune.demo.scenes import scene
from services.finetune.demo.words import PAIRS, WITHHELD, Query, prompt


def test_the_code_of_a_pair_is_nearest_to_those_that_share_a_word() -> None:
    red_circle, red_star, circle, blue_heart = Codes(128).of(
        [Query("red", "circle"), Query("red", "star"), Query(None, "circle"), Query("blue", "heart")]
    )

    assert torch.isclose(red_circle.norm(), torch.tensor(1.0))
    assert torch.isclose(red_circle @ red_star, torch.tensor(0.5), atol=1e-5)
    assert torch.isclose(red_circle @ circle, torch.tensor(0.5**0.5), atol=1e-5)
    assert torch.isclose(red_circle @ blue_heart, torch.tensor(0.0), atol=1e-5)


def test_all_trainings_have_the_same_codes() -> None:
    assert torch.equal(Codes(128).of(PAIRS), Codes(128).of(PAIRS))


def test_a_picture_has_the_code_of_all_that_it_shows() -> None:
    codes, told = Codes(128), truth([scene(WORLD, seed=1, index=index) for index in range(4)])
    things = codes.of_things(told)

    for number, code in enumerate(codes.of_pictures(told)):
        together = things[told.pictures == number].sum(0)
        assert distance(code[None], together[None]) < 1e-6


def test_the_text_tower_puts_pairs_that_it_never_read_where_they_belong() -> None:
    torch.manual_seed(0)
    words, codes = tokenizer.build(16), Codes(texts.WIDTH)
    config = OwlViTConfig(text_config=texts.config(words), vision_config=tower.config(), projection_dim=texts.WIDTH)
    model = OwlViTModel(config)
    texts.learn_codes(model, words, codes=codes, steps=60, seed=3)
    with torch.inference_mode():
        said = texts.embed(model, words, [prompt(pair) for pair in WITHHELD])

    assert torch.equal((said @ codes.of(PAIRS).T).argmax(1), torch.tensor([PAIRS.index(pair) for pair in WITHHELD]))
