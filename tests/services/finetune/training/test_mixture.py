from random import Random

import torch
from hypothesis import given
from hypothesis import strategies as st

from services.finetune.training.mixture import Luck, Mixture

NEW, OLD = tuple(range(100, 107)), tuple(range(5))


def make(example: int, rng: Random) -> tuple[int, float, float]:
    return example, rng.random(), torch.rand(1).item()


def mixture(
    replay: tuple[int, ...] = OLD, *, length: int = 70, seed: int = 3
) -> Mixture[int, tuple[int, float, float]]:
    return Mixture(make, (NEW, replay), length=length, seed=seed, step=8)


def examples(mixed: Mixture[int, tuple[int, float, float]]) -> list[int]:
    return [mixed[number][0] for number in range(len(mixed))]


def test_half_of_the_examples_are_replayed_ones() -> None:
    drawn = examples(mixture())
    assert set(drawn[::2]) == set(NEW)
    assert set(drawn[1::2]) == set(OLD)


def test_without_replay_all_are_new() -> None:
    assert set(examples(mixture(()))) == set(NEW)


def test_each_example_comes_once_before_any_comes_again() -> None:
    drawn = examples(mixture())
    assert sorted(drawn[::2][:7]) == sorted(drawn[::2][7:14]) == sorted(NEW)
    assert drawn[::2][:7] != drawn[::2][7:14]
    assert sorted(drawn[1::2][:5]) == sorted(OLD)


@given(st.lists(st.integers(0, 69), min_size=1, max_size=20))
def test_an_example_and_its_augmentation_depend_on_the_number_alone(numbers: list[int]) -> None:
    mixed, whole = mixture(), [mixture()[number] for number in range(70)]
    assert [mixed[number] for number in numbers] == [whole[number] for number in numbers]


def test_another_seed_gives_another_order() -> None:
    assert examples(mixture(seed=4)) != examples(mixture())


def test_an_augmentation_is_new_each_time_that_an_example_comes() -> None:
    mixed = mixture()
    seen = [mixed[number] for number in range(70)]
    assert len({one[1] for one in seen}) == len({one[2] for one in seen}) == 70


def test_the_randomness_of_others_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    mixture()[3]
    assert torch.equal(torch.rand(1), expected)


def test_the_examples_of_a_step_share_a_seed() -> None:
    def step_of(_: int, luck: Luck) -> str:
        return luck.step

    mixed = Mixture(step_of, (NEW, OLD), length=24, seed=3, step=8)
    seeds = [mixed[number] for number in range(24)]
    assert [len(set(seeds[at : at + 8])) for at in (0, 8, 16)] == [1, 1, 1]
    assert len(set(seeds)) == 3
