"""A version directory -> a network in host memory, with its golden cases.

config.json -> build;  model.safetensors -> held against the architecture -> into the network, as float32
"""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError
from torch import nn

from services.detection.architectures import DetectorConfig, build
from services.detection.golden import read_golden
from services.detection.importer import fit
from services.detection.parameters import Item
from shared.accel.checkpoint import read_state
from shared.accel.version import readable
from shared.images.detections import Detections
from shared.serving.model import Case, RefusedWeights
from shared.weights.errors import RefusedVersion


@dataclass(frozen=True, slots=True)
class State:
    """A network with the weights of one version, and the cases that it must answer rightly."""

    config: DetectorConfig
    module: nn.Module
    golden: tuple[Case[Item, Detections], ...]


def read(version: Path) -> State:
    """Read a version directory.

    Raises `RefusedWeights` unless its tensors are the architecture's by name and shape, all finite, and no file fails.
    """
    with readable():
        try:
            config = DetectorConfig.model_validate_json((version / "config.json").read_bytes())
            tensors = fit(read_state(version / "model.safetensors"), config)
            golden = read_golden(version)
        except ValidationError as error:
            raise RefusedWeights(f"{error.title} is not valid: {_first(error)}.") from error
        except RefusedVersion as error:
            raise RefusedWeights(str(error)) from error
    module = build(config)
    module.load_state_dict(tensors)
    return State(config, module.requires_grad_(False), golden)


def _first(error: ValidationError) -> str:
    """Where the first mistake is, and what it is."""
    detail = error.errors(include_url=False)[0]
    return " ".join([".".join(str(part) for part in detail["loc"]), detail["msg"]]).strip()
