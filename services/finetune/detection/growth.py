"""A detector that knows more classes than its base: what the base knows stays as it is, to the last row.

Every layer that tells classes apart holds rows for each of them. The rows of a new class start as the mean of those of
the old objects (not of the background), which is an object of no class in particular, and a little noise.
"""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from services.detection.architectures import GAP, DetectorConfig, build

NOISE = 0.02  # of the spread of the old rows: so that two new classes do not start as one


def extended(config: DetectorConfig, labels: Iterable[str]) -> DetectorConfig:
    """The config with those of `labels` behind its own that it lacks, in alphabetical order."""
    new = sorted(set(labels) - set(config.labels))
    return DetectorConfig(**config.model_dump() | {"labels": (*config.labels, *new)})


def grow(state: Mapping[str, Tensor], config: DetectorConfig, labels: Sequence[str]) -> nn.Module:
    """The network of `config`, with the tensors that a network for `labels`, the first of its classes, has."""
    network = build(config)
    objects = [number for number, label in enumerate(labels, start=1) if label != GAP]
    expected = network.state_dict()
    # "bbox_pred" of an R-CNN has four rows for each class; all others have one, SSD's for each anchor.
    grown = {
        name: tensor
        if tensor.shape == expected[name].shape
        else _grown(tensor, objects, old=len(labels) + 1, new=config.classes, rows=4 if "bbox_pred" in name else 1)
        for name, tensor in state.items()
    }
    network.load_state_dict(grown)
    return network


def _grown(tensor: Tensor, objects: Sequence[int], *, old: int, new: int, rows: int) -> Tensor:
    """[anchors * old * rows, …] -> [anchors * new * rows, …]."""
    by_class = tensor.float().view(-1, old, rows, *tensor.shape[1:])
    known = by_class[:, objects]
    mean = known.mean(1, keepdim=True).expand(-1, new - old, *by_class.shape[2:])
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(0))
    return torch.cat([by_class, mean + noise * known.std() * NOISE], dim=1).flatten(0, 2)
