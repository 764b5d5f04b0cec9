import copy

import pytest
import torch
from torch import Tensor, nn

from services.finetune.errors import JobError
from services.finetune.training.optimizer import MuonAdamW
from services.finetune.training.rates import Rates, freeze, optimizer

RATES = Rates(adamw={"head": 2e-3, "": 1e-3}, muon={"body": 3e-3})


class Network(nn.Module):
    """A filter, a norm and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def give_gradients(module: nn.Module, seed: int = 1) -> None:
    torch.manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape)


def moved(module: nn.Module, steps: int = 1, **options: float) -> dict[str, Tensor]:
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    made = optimizer(module, RATES, **options)
    for _ in range(steps):
        give_gradients(module)
        made.step()
    return {name: value.detach() - before[name] for name, value in module.named_parameters()}


def test_filters_move_as_matrices_whose_singular_values_are_about_equal() -> None:
    step = moved(network())["body.0.weight"].flatten(1)
    values = torch.linalg.svdvals(step) / (3e-3 * 0.2 * 27**0.5)

    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_layout_of_filters_in_memory_changes_nothing() -> None:
    plain, last = moved(network())["body.0.weight"], moved(network().to(memory_format=torch.channels_last))
    assert torch.allclose(plain, last["body.0.weight"], atol=1e-7)


def test_all_else_moves_as_torchs_adamw_moves_it() -> None:
    ours, theirs = network(), network()
    steps = moved(ours, 3)
    before = copy.deepcopy(theirs.state_dict())
    groups = [
        {"params": [theirs.head.weight], "lr": 2e-3, "weight_decay": 0.01},
        {"params": [theirs.head.bias], "lr": 2e-3, "weight_decay": 0.0},
        {"params": [theirs.body[1].weight, theirs.body[1].bias, theirs.body[0].bias], "lr": 1e-3, "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, betas=(0.9, 0.98))
    for _ in range(3):
        give_gradients(theirs)
        reference.step()

    for name in ("head.weight", "head.bias", "body.1.weight", "body.0.bias"):
        assert torch.allclose(steps[name], theirs.state_dict()[name] - before[name], atol=1e-7), name


def test_a_pace_multiplies_every_rate() -> None:
    assert {group["lr"] for group in optimizer(network(), RATES, pace=0.5).param_groups} == {1.5e-3, 1e-3, 5e-4}


def test_it_goes_on_from_its_state_as_if_it_had_not_been_broken_off() -> None:
    whole, first = network(), network()
    moved(whole, 4)
    begun = optimizer(first, RATES)
    for _ in range(2):
        give_gradients(first)
        begun.step()
    second = copy.deepcopy(first)
    after = optimizer(second, RATES)
    after.load_state_dict(begun.state_dict())
    for _ in range(2):
        give_gradients(second)
        after.step()

    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in second.state_dict().items())


def test_frozen_parts_and_parameters_without_a_gradient_stay() -> None:
    module = network()
    freeze(module, ("body.0",))
    made = optimizer(module, RATES)
    before = copy.deepcopy(module.state_dict())
    give_gradients(module)
    module.head.bias.grad = None
    made.step()
    stay = {name for name, value in module.state_dict().items() if torch.equal(value, before[name])}

    assert {"body.0.weight", "body.0.bias", "head.bias"} <= stay
    assert "head.weight" not in stay


@pytest.mark.parametrize(
    ("beginnings", "sentence"), [(("boddy",), "It has body.0, body.1, head.weight"), (("",), "nothing")]
)
def test_a_part_that_is_not_there_and_freezing_everything_are_refused(
    beginnings: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(JobError, match=sentence):
        freeze(network(), beginnings)


def test_groups_can_be_given_directly() -> None:
    matrix = nn.Parameter(torch.ones(2, 2))
    matrix.grad = torch.eye(2)
    MuonAdamW([{"params": [matrix], "lr": 0.1, "muon": True}]).step()
    assert torch.allclose(matrix, torch.ones(2, 2) - torch.eye(2) * 0.1 * 0.2 * 2**0.5, atol=0.01)
