"""The assignment of the least cost, held against all that there are."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.finetune.owlvit.matching import assign

SHAPES = st.tuples(st.integers(0, 4), st.integers(4, 6))


@given(SHAPES, st.integers(0, 10_000), st.booleans())
def test_no_other_assignment_costs_less(shape: tuple[int, int], seed: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    costs = random.integers(-2, 3, shape).astype(float) if ties else random.normal(size=shape)
    chosen = assign(costs)
    rows = np.arange(shape[0])
    least = min(costs[rows, list(columns)].sum() for columns in permutations(range(shape[1]), shape[0]))
    assert len(set(chosen.tolist())) == shape[0]
    assert costs[rows, chosen].sum() == pytest.approx(least)


def test_the_second_object_may_drive_the_first_from_its_best_patch() -> None:
    assert assign(np.array([[1.0, 2.0], [1.0, 9.0]])).tolist() == [1, 0]


def test_as_many_objects_as_patches_all_find_one() -> None:
    costs = np.random.default_rng(1).random((60, 60))
    assert sorted(assign(costs).tolist()) == list(range(60))
