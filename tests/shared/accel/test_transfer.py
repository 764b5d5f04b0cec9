"""Numbers to the device and back: what arrives is what was sent. How a GPU does it is told in tests/gpu."""

import torch

from shared.accel.transfer import Fetched, sent

CPU = torch.device("cpu")


def test_numbers_keep_their_kind_and_shape() -> None:
    assert torch.equal(sent([3, 1], CPU), torch.tensor([3, 1]))
    assert torch.equal(sent([[0.5, 2], [1, 3]], CPU), torch.tensor([[0.5, 2.0], [1.0, 3.0]]))


def test_all_that_was_asked_for_comes_in_order() -> None:
    tokens, shares = torch.arange(3), torch.rand(3, 2)
    found = Fetched(tokens, shares).wait()
    assert torch.equal(found[0], tokens) and torch.equal(found[1], shares)
