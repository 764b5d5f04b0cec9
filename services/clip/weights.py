"""A version directory in Hugging Face layout -> a CLIP in host memory, with all that belongs to its space.

config.json, *.safetensors -> towers    preprocessor_config.json -> image path    tokenizer files -> tokenizer
manifest.json              -> name and digest of the version, hence the id of its embedding space
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn
from transformers import CLIPModel

from services.clip.golden import read_golden
from services.clip.items import Embedding, Item
from services.clip.towers import ImageTower, narrow
from shared.accel.backends import EAGER, Backend, Tower
from shared.accel.pixels import PixelConfig, examples, read_pixel_config
from shared.accel.pretrained import Pretrained, read_pretrained
from shared.accel.tokenizer import Tokenizer, read_tokenizer
from shared.accel.version import read_manifest, readable
from shared.serving.model import Case, RefusedWeights
from shared.weights.digest import PREFIX, digest

ARCHITECTURES = {"clip": CLIPModel}
EVERY_TEXT = "a photo"  # whatever the vocabulary, it has a begin and an end


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """The weights of one version; `module` holds them in the number type that serves.

    `image_tower` is the one of `module` as another backend runs it, where one does.
    """

    name: str
    space: str
    module: nn.Module
    pixels: PixelConfig
    tokenizer: Tokenizer
    golden: tuple[Case[Item, Embedding], ...]
    dimensions: int
    context: int
    patch: int
    logit_scale: float
    matryoshka: bool
    image_tower: Tower | None


def read(version: Path, dtype: torch.dtype, backend: Backend = EAGER) -> State:
    """Read a version directory, to serve in `dtype` and by `backend` where eager float32 agrees.

    Raises `RefusedWeights` for files that are missing or damaged, and for parts that do not fit together.
    """
    manifest, identity = read_manifest(version)
    pretrained = read_pretrained(version, architectures=ARCHITECTURES)
    pixels, tokenizer = read_pixel_config(version), read_tokenizer(version)
    _check(pretrained.config, pixels, tokenizer)
    clip: Any = pretrained.module
    module: Any = narrow(clip, dtype, pixels=pixels, ids=tokenizer.ids(EVERY_TEXT))
    return State(
        name=manifest.model,
        space=space(identity, pixels, tokenizer),
        module=module,
        pixels=pixels,
        tokenizer=tokenizer,
        golden=_golden(version),
        logit_scale=float(clip.logit_scale.exp()),
        image_tower=backend.build(ImageTower(clip), examples(pixels), module.dtype),
        **_sizes(pretrained),
    )


def space(identity: str, pixels: PixelConfig, tokenizer: Tokenizer) -> str:
    """The id of an embedding space: two vectors may be compared only if theirs are equal.

    It covers the weights by their digest, and what this code makes of their image path and their vocabulary.
    """
    settings = json.dumps(asdict(pixels), sort_keys=True, default=lambda interpolation: interpolation.value)
    whole = digest("\n".join([identity, settings, tokenizer.digest]).encode())
    return f"space:{whole.removeprefix(PREFIX)[:16]}"


@readable()
def _golden(version: Path) -> tuple[Case[Item, Embedding], ...]:
    try:
        return read_golden(version)
    except ValidationError as error:
        raise RefusedWeights("golden.json is not a list of texts and images with their embeddings.") from error


def _sizes(pretrained: Pretrained) -> dict[str, Any]:
    config = pretrained.config
    return {
        "dimensions": config.projection_dim,
        "context": config.text_config.max_position_embeddings,
        "patch": config.vision_config.patch_size,
        "matryoshka": bool(pretrained.fields.get("matryoshka_dims")),
    }


def _check(config: Any, pixels: PixelConfig, tokenizer: Tokenizer) -> None:
    """Refuse an image path or a tokenizer that is not this network's."""
    side, text = config.vision_config.image_size, config.text_config
    if pixels.shape != (side, side):
        raise RefusedWeights(f"The image processor makes {pixels.shape}, and the network reads {side} x {side}.")
    if tokenizer.size > text.vocab_size:
        raise RefusedWeights(f"The tokenizer has {tokenizer.size} tokens, and the network knows {text.vocab_size}.")
    # Old configs say 2 whatever the vocabulary; transformers then reads a text at its highest id.
    end = tokenizer.size - 1 if text.eos_token_id == 2 else text.eos_token_id
    if tokenizer.ids(EVERY_TEXT)[-1:] != (end,):
        raise RefusedWeights(f"The tokenizer does not end a text with {end}, where the network reads it.")
