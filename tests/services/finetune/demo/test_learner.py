import torch
from torch import nn

from services.finetune.demo.learner import Learner, Rates


class Tiny(nn.Module):
    """One matrix inside a layer, one outside."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(8, 8)])})
        self.out = nn.Linear(8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.tanh(self.inner["layers"][0](x)))  # type: ignore[index, no-any-return]


def test_a_small_network_learns() -> None:
    torch.manual_seed(0)
    net, x = Tiny(), torch.randn(64, 8)
    learner = Learner(net, Rates(muon={"": 5e-2}, adam={"": 5e-2}, warm_up=5), steps=150)
    losses = []
    for _ in range(150):
        loss = (net(x) - x[:, :1].sin()).square().mean()
        learner.step(loss)
        losses.append(loss.item())

    assert losses[-1] < losses[0] / 5


def test_a_rate_of_zero_holds_what_its_name_fits() -> None:
    torch.manual_seed(0)
    net = Tiny()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    Learner(net, Rates(muon={"": 1e-2}, adam={"out": 0.0, "": 1e-2}), steps=10).step(net(torch.randn(4, 8)).sum())
    moved = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}

    assert moved == {"inner.layers.0.weight", "inner.layers.0.bias"}


def test_a_learner_that_was_broken_off_goes_on_as_if_it_had_not_been() -> None:
    rates = Rates(muon={"": 1e-2}, adam={"": 1e-2}, warm_up=2)
    x = torch.randn(16, 8)

    def run(steps: int, net: Tiny, learner: Learner) -> None:
        for _ in range(steps):
            learner.step(net(x).square().mean())

    torch.manual_seed(0)
    whole, first, second = Tiny(), Tiny(), Tiny()
    first.load_state_dict(whole.state_dict())
    run(6, whole, Learner(whole, rates, steps=10))
    learner = Learner(first, rates, steps=10)
    run(3, first, learner)
    second.load_state_dict(first.state_dict())
    after = Learner(second, rates, steps=10)
    after.resume(learner.state())
    run(3, second, after)

    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in second.state_dict().items())
