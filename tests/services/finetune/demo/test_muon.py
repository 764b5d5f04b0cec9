import pytest
import torch
from torch import nn

from services.finetune.demo.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(8, 8), (8, 32), (32, 8)])
def test_all_directions_of_a_gradient_count_alike(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
    assert 0.5 < values.min() <= values.max() < 1.3


def test_a_step_goes_where_torchs_own_muon_goes() -> None:
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.ones(8, 16)) for _ in range(2))
    mine = Muon([{"params": [ours], "lr": 0.1}])
    reference = torch.optim.Muon([theirs], lr=0.1, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        ours.grad = torch.randn(8, 16)
        theirs.grad = ours.grad.clone()
        mine.step()
        reference.step()  # type: ignore[no-untyped-call]

    assert torch.allclose(ours, theirs, atol=0.02)  # theirs rounds to bfloat16
