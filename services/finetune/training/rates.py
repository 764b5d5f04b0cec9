"""Which parameters learn, by which rule and how fast: rates by name -> groups of an optimizer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from services.finetune.errors import JobError
from services.finetune.training.optimizer import Group, MuonAdamW


@dataclass(frozen=True, slots=True)
class Rates:
    """The highest rates, each for the parameters that have its key in their name; the first key that fits counts.

    muon     for matrices and filters; those that no key fits learn by AdamW
    adamw    for all else: "" must be among the keys
    decay    weight decay of matrices and filters; norms and biases have none
    """

    adamw: Mapping[str, float]
    muon: Mapping[str, float] = field(default_factory=dict)
    decay: float = 0.01


def freeze(module: nn.Module, beginnings: Sequence[str]) -> None:
    """Leave the parameters as they are whose names begin like this. Raises `JobError` where none does, or all do."""
    for beginning in beginnings:
        named = [parameter for name, parameter in module.named_parameters() if name.startswith(beginning)]
        if not named:
            parts = ", ".join(dict.fromkeys(".".join(name.split(".")[:2]) for name, _ in module.named_parameters()))
            raise JobError(f"--freeze {beginning}: no part of this network is called that. It has {parts}.")
        for parameter in named:
            parameter.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in module.parameters()):
        raise JobError("--freeze leaves nothing to learn. Name fewer parts.")


def optimizer(module: nn.Module, rates: Rates, *, pace: float = 1.0) -> MuonAdamW:
    """The optimizer of all parameters of `module` that are not frozen; `pace` multiplies every rate."""
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = defaultdict(list)
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups[_kind(name, parameter, rates)].append(parameter)
    return MuonAdamW(_group(parameters, *kind, pace) for kind, parameters in groups.items())


def _kind(name: str, parameter: nn.Parameter, rates: Rates) -> tuple[bool, float, float]:
    """Whether by Muon, the rate, and the weight decay."""
    wide = parameter.ndim > 1
    muon = next((rate for key, rate in rates.muon.items() if key in name), None) if wide else None
    rate = muon if muon is not None else next(rate for key, rate in rates.adamw.items() if key in name)
    return muon is not None, rate, rates.decay if wide else 0.0


def _group(parameters: list[nn.Parameter], muon: bool, rate: float, decay: float, pace: float) -> Group:
    return {"params": parameters, "lr": rate * pace, "weight_decay": decay, "muon": muon}
