"""Random CLIPs in Hugging Face layout, as versions that `Clip.read` takes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer
from transformers.initialization import no_init_weights

from shared.weights.manifest import MANIFEST, Card, Made, Manifest
from shared.weights.verify import survey

BYTES = sorted(ByteLevel.alphabet())
TOKENS = [*BYTES, *(byte + "</w>" for byte in BYTES), "<|startoftext|>", "<|endoftext|>"]
VOCABULARY = {token: number for number, token in enumerate(TOKENS)}
TOWER = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 3, "num_attention_heads": 4}
TEXT = TOWER | {"vocab_size": len(TOKENS), "max_position_embeddings": 24, "eos_token_id": len(TOKENS) - 1}
VISION = TOWER | {"image_size": 64, "patch_size": 16}
SIDES = {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}


def tokenizer() -> CLIPTokenizer:
    """Every byte is a token: any text can be told, and nothing had to be trained."""
    return CLIPTokenizer(vocab=dict(VOCABULARY))


def random_clip(seed: int = 0, *, text: Any = TEXT, vision: Any = VISION, projection_dim: int = 32) -> CLIPModel:
    """A CLIP whose vectors differ: at the usual spread of a new network, all inputs look much the same to it."""
    torch.manual_seed(seed)
    with no_init_weights():
        clip = CLIPModel(CLIPConfig(text_config=dict(text), vision_config=dict(vision), projection_dim=projection_dim))
    for name, weight in clip.requires_grad_(False).named_parameters():
        if weight.ndim > 1 or "embedding" in name:
            spread = 2 if "embedding" in name else 2 * weight[0].numel() ** -0.5
            weight.uniform_(-spread, spread)
        else:
            weight.fill_(0 if name.endswith("bias") else 1)
    return clip


def write_version(folder: Path, clip: CLIPModel, *, name: str = "clip", sides: Any = SIDES, **more: Any) -> Path:
    """Save `clip` with a processor, `more` in its config, and the manifest; returns `folder`."""
    clip.save_pretrained(folder)
    processor: Any = CLIPProcessor
    processor(CLIPImageProcessor(**sides), tokenizer()).save_pretrained(folder)
    if more:
        change_json(folder / "config.json", **more)
    seal(folder, name)
    return folder


def change_json(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def seal(folder: Path, name: str = "clip") -> None:
    """Write the manifest of what lies in `folder`."""
    (folder / MANIFEST).unlink(missing_ok=True)
    card = Card(model=name, version="test-1", made=Made(by="a test"))
    (folder / MANIFEST).write_bytes(Manifest.of(card, survey(folder)).encode())


def picture(seed: int, width: int = 90, height: int = 70) -> bytes:
    """A PNG of a few coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()
