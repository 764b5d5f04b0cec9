"""A version directory in the layout of LLaVA-1.5 -> a LLaVA in host memory, with all that belongs to it.

config.json, *.safetensors -> network    preprocessor_config.json -> image path    tokenizer files -> words
serving.json -> defaults                 golden.json -> golden cases
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from transformers import LlavaForConditionalGeneration

from services.llava.chat import Talk
from services.llava.golden import read_golden
from services.llava.words import Words
from shared.accel.pixels import PixelConfig, read_pixel_config
from shared.accel.pretrained import Pretrained, read_json, read_pretrained
from shared.accel.version import read_manifest, readable
from shared.serving.model import Case, RefusedWeights

ARCHITECTURES = {"llava": LlavaForConditionalGeneration}
RENAMES = {
    "language_model.model.": "model.language_model.",
    "language_model.lm_head.": "lm_head.",
    "vision_tower.vision_model.": "model.vision_tower.",
    "vision_tower.": "model.vision_tower.",
    "multi_modal_projector.": "model.multi_modal_projector.",
}
ROTARY = ("default", "linear", "llama3")  # kinds of positions that do not change with the length of a prompt


class Defaults(BaseModel):
    """What a request leaves out, as the version says it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    max_tokens: int = Field(512, ge=1)
    temperature: float = Field(1.0, ge=0, le=2)


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The weights of one version; `module` holds them in the number type that serves."""

    name: str
    module: Any
    pixels: PixelConfig
    words: Words
    defaults: Defaults
    golden: tuple[Case[Talk, Any], ...]
    picture_tokens: int
    context: int


def read(version: Path, dtype: torch.dtype) -> State:
    """Read a version directory, to serve in `dtype`.

    Raises `RefusedWeights` for files that are missing or damaged, and for parts that do not fit together.
    """
    pretrained = read_pretrained(version, architectures=ARCHITECTURES, renames=RENAMES)
    config = pretrained.config
    pixels, words = read_pixel_config(version), Words.read(version, pretrained.fields)
    tokens = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
    tokens += config.vision_feature_select_strategy == "full"
    _check(config, pixels, words)
    return State(
        name=read_manifest(version)[0].model,
        module=_looking(pretrained).to(dtype),
        pixels=pixels,
        words=words,
        defaults=_defaults(version),
        golden=_golden(version),
        picture_tokens=tokens,
        context=config.text_config.max_position_embeddings,
    )


def _looking(pretrained: Pretrained) -> Any:
    """The network without the layers of its tower that nobody asks for what they see."""
    llava: Any = pretrained.module
    wanted = pretrained.config.vision_feature_layer
    tower = llava.model.vision_tower
    if isinstance(wanted, int) and wanted < 0:
        tower.encoder.layers = tower.encoder.layers[: len(tower.encoder.layers) + 1 + wanted]
        tower.config.num_hidden_layers = len(tower.encoder.layers)
        llava.config.vision_feature_layer = -1
    return llava


def _check(config: Any, pixels: PixelConfig, words: Words) -> None:
    """Refuse parts that are another network's, and what the engine cannot compute exactly."""
    side, text = config.vision_config.image_size, config.text_config
    if pixels.shape != (side, side):
        raise RefusedWeights(f"The image processor makes {pixels.shape}, and the network reads {side} x {side}.")
    if words.size > text.vocab_size:
        raise RefusedWeights(f"The tokenizer has {words.size} tokens, and the network knows {text.vocab_size}.")
    if text.model_type != "llama":
        raise RefusedWeights(f"config.json: text_config.model_type {text.model_type!r} is not served here, only llama.")
    if text.rope_parameters["rope_type"] not in ROTARY:
        raise RefusedWeights(f"config.json: rope_type must be one of {', '.join(ROTARY)}.")
    if text.hidden_act != "silu":
        raise RefusedWeights("config.json: text_config.hidden_act must be silu.")


def _defaults(version: Path) -> Defaults:
    if not (version / "serving.json").exists():
        return Defaults.model_validate({})
    try:
        return Defaults.model_validate(read_json(version / "serving.json"))
    except ValidationError as error:
        raise RefusedWeights("serving.json has a value that cannot be.") from error


@readable()
def _golden(version: Path) -> tuple[Case[Talk, Any], ...]:
    try:
        return read_golden(version)
    except ValidationError as error:
        raise RefusedWeights("golden.json is not a list of messages with their answers.") from error
