"""A detector while it learns: torchvision's losses, on pictures that come prepared as the service prepares them."""

from typing import Any, Self

import torch
from torch import Tensor, nn
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from services.finetune.detection.counting import Counters

Target = dict[str, Tensor]


class Learner(nn.Module):
    """A network in training, whose batch norms keep the statistics of the base.

    transform   the network's own GeneralizedRCNNTransform, for whoever prepares pictures as serving does
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.transform = network.transform
        # Convolutions on a CPU are a fifth faster on this layout; the stored weights do not show it.
        self.network = network.to(memory_format=torch.channels_last)
        self.network.transform = _Stacking(self.transform)
        self._counters = Counters(self.network)

    def forward(self, pictures: list[Tensor], targets: list[Target]) -> dict[str, Tensor]:
        """The `loss`, summed over the network's heads, of normalised pictures [3, height, width] of any sizes."""
        losses: dict[str, Tensor] = self.network(pictures, targets)
        shares = self._counters.shares(pictures[0].device)
        return {"loss": torch.stack([loss * shares[name] for name, loss in losses.items()]).sum()}

    def train(self, mode: bool = True) -> Self:
        """As of every module, but for what stays as in serving: the sizes of pictures, and the norms.

        Sixteen pictures tell less of the statistics than all that the base has seen.
        """
        super().train(mode)
        self.transform.eval()
        for layer in self.network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eval()
        return self


class _Stacking(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Makes one batch of pictures that are normalised and resized already."""

    def __init__(self, own: Any) -> None:
        sizes = {"size_divisible": own.size_divisible, "fixed_size": own.fixed_size}
        super().__init__(own.min_size, own.max_size, own.image_mean, own.image_std, **sizes)

    def normalize(self, image: Tensor) -> Tensor:
        return image

    def resize(self, image: Tensor, target: Target | None = None) -> tuple[Tensor, Target | None]:
        return image, target
