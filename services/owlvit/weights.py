"""A version directory in Hugging Face layout -> what serving needs of it, in host memory.

config.json, *.safetensors -> network      tokenizer files -> tokenizer      preprocessor_config.json -> image path
serving.json, if there -> the version's own defaults      golden.json, if there -> the cases it must answer rightly
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import Owlv2ForObjectDetection, OwlViTForObjectDetection

from services.owlvit.golden import read_golden
from services.owlvit.network import Backbone
from services.owlvit.phrases import check_template
from services.owlvit.queries import Item
from shared.accel.backends import EAGER, Backend, Tower
from shared.accel.pixels import PixelConfig, examples, read_pixel_config
from shared.accel.pretrained import Pretrained, read_pretrained
from shared.accel.tokenizer import Tokenizer, read_tokenizer
from shared.accel.version import readable
from shared.errors import InvalidRequest
from shared.images.detections import Detections
from shared.serving.model import Case, RefusedWeights

ARCHITECTURES = {"owlvit": OwlViTForObjectDetection, "owlv2": Owlv2ForObjectDetection}


class Defaults(BaseModel):
    """What a request gets that does not say otherwise; `serving.json` of a version may set it.

    The thresholds are those of transformers' documentation. Two pictures of one thing agree more than a picture and a
    phrase do, and neighbouring patches all find it: hence the second threshold, and the NMS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    template: str = "a photo of a {}"
    threshold: float = Field(0.1, ge=0, le=1)
    iou_threshold: float | None = Field(None, ge=0, le=1)
    query_threshold: float = Field(0.6, ge=0, le=1)
    query_iou_threshold: float | None = Field(0.3, ge=0, le=1)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """One version of the weights; compared by being the same object.

    `backbone` is the one of the network as another backend runs it, where one does.
    """

    pretrained: Pretrained
    pixels: PixelConfig
    tokenizer: Tokenizer
    defaults: Defaults
    golden: tuple[Case[Item, Detections], ...]
    backbone: Tower | None = None

    @property
    def longest(self) -> int:
        """The most tokens of a phrase."""
        return int(self.pretrained.config.text_config.max_position_embeddings)


def read(version: Path, dtype: torch.dtype = torch.float32, backend: Backend = EAGER) -> State:
    """Read a version directory, to serve in `dtype` and by `backend` where eager float32 agrees.

    Raises `RefusedWeights` for parts that are missing, damaged, or do not fit together.
    """
    pretrained = read_pretrained(version, architectures=ARCHITECTURES)
    with readable():
        try:
            defaults, golden = _defaults(version / "serving.json"), read_golden(version)
        except ValidationError as error:
            raise RefusedWeights(f"{error.title} is not valid at {error.errors()[0]['loc']}.") from error
    state = State(pretrained, read_pixel_config(version), read_tokenizer(version), defaults, golden)
    _check(state)
    return replace(state, backbone=backend.build(Backbone(pretrained.module), examples(state.pixels), dtype))


def _defaults(file: Path) -> Defaults:
    defaults = Defaults.model_validate_json(file.read_bytes()) if file.exists() else Defaults()
    try:
        check_template(defaults.template)
    except InvalidRequest as error:
        raise RefusedWeights(f"serving.json: {error.message}") from error
    return defaults


def _check(state: State) -> None:
    config = state.pretrained.config
    side = config.vision_config.image_size
    if state.pixels.shape != (side, side):
        raise RefusedWeights(f"The image processor makes {state.pixels.shape}, and the network reads {side} a side.")
    if state.tokenizer.size > config.text_config.vocab_size:
        raise RefusedWeights("The tokenizer knows more tokens than the network.")
    if state.tokenizer.ids("a")[-1] != state.tokenizer.size - 1:
        raise RefusedWeights("The tokenizer does not end a text with its highest id, where the network looks for it.")
