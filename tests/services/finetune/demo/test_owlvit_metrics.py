import torch

from services.finetune.demo.owlvit_metrics import Counts, count

ON_FIRST, ON_SECOND, NOWHERE = [0.9, 0.0], [0.0, 0.6], [0.3, 0.2]


def counted(chosen: list[list[bool]], overlap: list[list[float]]) -> Counts:
    """One query, which fits the first of two things."""
    return count(torch.tensor(chosen), torch.tensor(overlap), torch.tensor([[True, False]]))


def test_a_box_on_the_thing_that_fits_is_right() -> None:
    assert counted([[True], [False]], [ON_FIRST, ON_SECOND]) == Counts(right=1, found=1, wanted=1)


def test_a_box_on_another_thing_or_nowhere_is_wrong() -> None:
    assert counted([[True], [True]], [ON_SECOND, NOWHERE]) == Counts(right=0, found=2, wanted=1)


def test_a_second_box_on_the_same_thing_is_wrong() -> None:
    twice = counted([[True], [True]], [ON_FIRST, ON_FIRST])
    assert twice == Counts(right=1, found=2, wanted=1)
    assert (twice.precision, twice.recall) == (0.5, 1.0)


def test_counts_add_up() -> None:
    both = Counts(1, 2, 2) + Counts(2, 2, 2)
    assert (both.precision, both.recall, both.f1) == (0.75, 0.75, 0.75)
