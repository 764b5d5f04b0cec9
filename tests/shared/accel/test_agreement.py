"""How far two forms of one network are apart."""

import math

import pytest
import torch

from shared.accel.agreement import agreement, patterns


def test_vectors_agree_with_themselves_whatever_their_length() -> None:
    vectors = torch.randn(2, 5, 16)
    assert agreement(vectors, vectors * 3) < 1  # without the mean, length counts
    assert agreement(vectors, vectors) == pytest.approx(1, abs=1e-6)


def test_one_vector_that_is_off_tells_on_all() -> None:
    vectors = torch.randn(2, 5, 16)
    other = vectors.clone()
    other[1, 3] = torch.randn(16)
    assert agreement(vectors, other) < 0.9


def test_what_all_vectors_have_in_common_hides_no_difference() -> None:
    vectors = torch.randn(4, 16) + 100
    mixed = vectors.flip(0)
    assert torch.nn.functional.cosine_similarity(vectors, mixed).min() > 0.999
    assert agreement(vectors, mixed) < 0.9


def test_a_vector_that_is_no_number_agrees_with_nothing() -> None:
    vectors = torch.randn(2, 16)
    assert math.isnan(agreement(vectors, vectors.clone().index_fill_(0, torch.tensor(1), torch.nan)))


def test_patterns_are_pictures_that_differ_and_come_again() -> None:
    noise, ramp = patterns(24, 32)
    assert (noise.shape, ramp.shape, noise.dtype, ramp.dtype) == ((3, 24, 32), (3, 24, 32), torch.uint8, torch.uint8)
    assert not torch.equal(noise, ramp)
    assert torch.equal(noise, patterns(24, 32)[0])
