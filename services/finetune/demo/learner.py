"""How CLIP, OWL-ViT and LLaVA learn: Muon for the matrices inside transformer layers, AdamW for all else.

Both rates rise over the first steps and then fall along a cosine to a fiftieth.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi
from typing import Any

from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from services.finetune.demo.muon import Muon

FLOOR = 0.02  # share of the highest rate at the end
CLIP = 1.0


@dataclass(frozen=True, slots=True)
class Rates:
    """The highest rates, each for the parameters that have its key in their name; the first key that fits counts."""

    muon: Mapping[str, float]
    adam: Mapping[str, float]
    warm_up: int = 50  # steps


class Learner:
    """Steps all parameters of a module that are not frozen."""

    def __init__(self, module: nn.Module, rates: Rates, *, steps: int) -> None:
        matrices: dict[float, list[nn.Parameter]] = defaultdict(list)
        others: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
        learning = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        for name, parameter in learning.items():
            if parameter.ndim == 2 and ".layers." in name:
                matrices[_rate(rates.muon, name)].append(parameter)
            else:
                others[_rate(rates.adam, name), 0.01 * (parameter.ndim > 1)].append(parameter)
        self._parameters = list(learning.values())
        self._optimizers: list[Optimizer] = [
            Muon([{"params": group, "lr": rate} for rate, group in matrices.items()]),
            AdamW(
                [{"params": group, "lr": rate, "weight_decay": decay} for (rate, decay), group in others.items()],
                betas=(0.9, 0.98),
            ),
        ]
        shape = _shape(rates.warm_up, steps)
        self._rates = [LambdaLR(optimizer, shape) for optimizer in self._optimizers]

    def step(self, loss: Tensor) -> None:
        """Go one step down the gradient of `loss`."""
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, CLIP)
        for optimizer, rate in zip(self._optimizers, self._rates, strict=True):
            optimizer.step()
            optimizer.zero_grad()
            rate.step()

    def state(self) -> list[dict[str, Any]]:
        """All that a learner needs to go on in another process, besides the parameters."""
        return [*(o.state_dict() for o in self._optimizers), *(rate.state_dict() for rate in self._rates)]

    def resume(self, state: Sequence[dict[str, Any]]) -> None:
        """Go on from where `state` was taken."""
        parts: list[Optimizer | LambdaLR] = [*self._optimizers, *self._rates]
        for part, saved in zip(parts, state, strict=True):
            part.load_state_dict(saved)


def _rate(rates: Mapping[str, float], name: str) -> float:
    return next(rate for key, rate in rates.items() if key in name)


def _shape(warm_up: int, steps: int) -> Callable[[int], float]:
    """The share of its highest rate that a step has."""

    def share(step: int) -> float:
        if step < warm_up:
            return (step + 1) / warm_up
        done = min(1.0, (step - warm_up) / max(1, steps - warm_up))
        return FLOOR + (1 - FLOOR) * (1 + cos(pi * done)) / 2

    return share
