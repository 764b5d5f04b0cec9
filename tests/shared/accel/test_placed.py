"""Linear layers are stored as a CPU multiplies them, and compute what they computed."""

import torch
from torch import nn

from shared.accel.placed import placed, turned

CPU = torch.device("cpu")


class Tied(nn.Module):
    """An embedding and a head with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(50, 16), nn.Linear(16, 50)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Ids `[n]` -> logits `[n, 50]`."""
        return self.head(self.embedding(ids))  # type: ignore[no-any-return]


def test_a_placed_network_computes_what_it_computed_and_shares_what_it_shared() -> None:
    torch.manual_seed(0)
    network, ids = Tied(), torch.arange(7)
    with torch.inference_mode():
        before = network(ids)
        after = placed(network, CPU)(ids)
    torch.testing.assert_close(after, before)
    assert network.head.weight is network.embedding.weight
    assert network.head.weight.t().is_contiguous()


def test_placing_again_copies_nothing() -> None:
    layer = placed(nn.Linear(8, 4), CPU)
    address = layer.weight.data_ptr()
    assert placed(layer, CPU).weight.data_ptr() == address


def test_other_number_types_stay_as_they_are() -> None:
    weight = torch.zeros(4, 8, dtype=torch.bfloat16)
    assert turned(weight) is weight
