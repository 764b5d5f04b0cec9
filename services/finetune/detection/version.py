"""A base -> the learner that starts from it, and back to the files of a version that the service reads."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from peft import PeftModel

from services.detection.architectures import GAP, DetectorConfig
from services.detection.importer import fit
from services.finetune.detection.adapter import adapt, merged, opened
from services.finetune.detection.growth import extended, grow
from services.finetune.detection.network import Learner
from shared.accel.checkpoint import read_state, write_state


@dataclass(frozen=True, slots=True)
class Draft:
    """A version in the making; `dtype` is that of the base's file, `adapter` what learns in place of the network."""

    config: DetectorConfig
    learner: Learner
    dtype: torch.dtype
    adapter: PeftModel | None

    @classmethod
    def of(cls, base: Path, labels: Iterable[str], *, rank: int | None = None) -> "Draft":
        """What starts from the version directory `base` and knows `labels` as well; LoRA if a rank is given."""
        known = DetectorConfig.model_validate_json((base / "config.json").read_bytes())
        state = fit(read_state(base / "model.safetensors"), known)
        config = extended(known, labels)
        network = grow(state, config, known.labels)
        dtype = next(tensor.dtype for tensor in state.values() if tensor.is_floating_point())
        return cls(config, Learner(network), dtype, adapt(network, rank) if rank else None)

    @property
    def ids(self) -> dict[str, int]:
        """The label ids, as the service counts them."""
        return {label: number for number, label in enumerate(self.config.labels, start=1) if label != GAP}

    @property
    def learns_masks(self) -> bool:
        """Whether it is of the Mask R-CNN family."""
        return self.config.family == "mask-rcnn"

    def write(self, folder: Path) -> None:
        """Write config.json and model.safetensors, whose numbers are of the base's type."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(self.config.model_dump_json(indent=2, exclude_none=True) + "\n")
        state = (merged(self.adapter) if self.adapter else self.learner.network).state_dict()
        typed = {name: value.to(self.dtype) if value.is_floating_point() else value for name, value in state.items()}
        write_state(typed, folder / "model.safetensors")


def merge(base: Path, adapter: Path, folder: Path) -> None:
    """Write the weights of the version directory `base`, with peft's files in `adapter` added, into `folder`."""
    config = DetectorConfig.model_validate_json((adapter / "merged/config.json").read_bytes())
    plain = Draft.of(base, (label for label in config.labels if label != GAP))
    replace(plain, adapter=opened(plain.learner.network, adapter)).write(folder)
