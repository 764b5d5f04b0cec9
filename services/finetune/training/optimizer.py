"""Muon for matrices and filters, AdamW for all else, as one optimizer with one state.

Muon (https://kellerjordan.github.io/posts/muon) brings the singular values of the momentum to about one; a filter
[out, in, height, width] counts as the matrix [out, in * height * width]. With the scale of
https://arxiv.org/abs/2502.16982 (2.2) its rates are of the size of AdamW's.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from services.finetune.demo.muon import orthogonal

Group = dict[str, Any]


class MuonAdamW(Optimizer):
    """Moves the groups marked `muon` by Muon and the others by AdamW."""

    def __init__(
        self,
        groups: Iterable[Group],
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.98),
        eps: float = 1e-8,
    ) -> None:
        """Each group holds `params`, `lr`, `weight_decay` and `muon`."""
        super().__init__(groups, {"momentum": momentum, "betas": betas, "eps": eps, "weight_decay": 0.0, "muon": False})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient; there is no use for a closure."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["muon"]:
                for parameter in parameters:
                    self._muon(parameter, group)
            elif parameters:
                self._adamw(parameters, group)

    def _muon(self, parameter: Tensor, group: Group) -> None:
        gradient = parameter.grad
        assert gradient is not None
        velocity = self.state[parameter].setdefault("velocity", torch.zeros_like(parameter))
        velocity.lerp_(gradient, 1 - group["momentum"])
        update = orthogonal(gradient.lerp(velocity, group["momentum"]).flatten(1))
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.sub_(update.view(parameter.shape), alpha=group["lr"] * 0.2 * max(update.shape) ** 0.5)

    def _adamw(self, parameters: list[Tensor], group: Group) -> None:
        states = [self._state(parameter) for parameter in parameters]
        adamw(
            parameters,
            [parameter.grad for parameter in parameters if parameter.grad is not None],
            [state["mean"] for state in states],
            [state["square"] for state in states],
            [],
            [state["step"] for state in states],
            amsgrad=False,
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=False,
        )

    def _state(self, parameter: Tensor) -> dict[str, Any]:
        state: dict[str, Any] = self.state[parameter]
        if not state:
            state |= {name: torch.zeros_like(parameter) for name in ("mean", "square")} | {"step": torch.tensor(0.0)}
        return state
