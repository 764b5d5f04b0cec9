"""Small random detectors of the OWL family in Hugging Face layout, transformers' answers, and batches of ours."""

import io
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers.pre_tokenizers import ByteLevel
from torch import nn
from transformers import (
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    OwlViTConfig,
    OwlViTForObjectDetection,
    OwlViTImageProcessor,
    OwlViTProcessor,
)

from services.owlvit.model import ImageQuery, Item, Label, OwlVit, Parameters, TextQuery
from shared.images.detections import Detections

torch.set_num_threads(1)

CPU = torch.device("cpu")
SIDE, LONGEST = 96, 16
FAMILIES: dict[str, tuple[Any, Any, Any, Any]] = {
    "owlvit": (OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor, OwlViTProcessor),
    "owlv2": (Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessor, Owlv2Processor),
}
ALL = Parameters(threshold=0.0, max_detections=300)
LABELS = ("cat", "dog", "owl", "a red", "x")


def tokenizer() -> CLIPTokenizer:
    """CLIP's algorithm without a single merge: every character is a token."""
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *(character + "</w>" for character in alphabet), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], pad_token="!", model_max_length=LONGEST)


def network(family: str, seed: int = 0) -> Any:
    """A random detector whose scores and boxes differ from patch to patch and from label to label."""
    torch.manual_seed(seed)
    text = {"vocab_size": len(tokenizer()), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text |= {"num_attention_heads": 4, "max_position_embeddings": LONGEST}
    text |= {"bos_token_id": len(tokenizer()) - 2, "eos_token_id": len(tokenizer()) - 1}
    vision = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}
    vision |= {"image_size": SIDE, "patch_size": 16}
    config = FAMILIES[family][0](text_config=text, vision_config=vision, projection_dim=32)
    module = FAMILIES[family][1](config).eval().requires_grad_(False)
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Linear | nn.Embedding | nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.05 if name.startswith("box_head") else 0.2)
    nn.init.constant_(module.class_head.logit_scale.bias, 4.0)
    module.box_head.dense2.bias[2:] = 1.5  # boxes of some patches each, so that neighbours overlap
    return module


def write(module: Any, folder: Path, family: str) -> Path:
    """A version directory, as `save_pretrained` writes it."""
    module.save_pretrained(folder)
    FAMILIES[family][2](size={"height": SIDE, "width": SIDE}).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


@cache
def version(family: str, seed: int = 0) -> Path:
    """A version directory that lives as long as the tests."""
    return write(network(family, seed), Path(tempfile.mkdtemp(prefix="ocelli-owl-")), family)


def detector(family: str = "owlvit", seed: int = 0, dtype: torch.dtype = torch.float32) -> OwlVit:
    """A detector of our own with the weights of `version(family, seed)` and an empty cache."""
    owl = OwlVit(CPU, dtype)
    owl.use(owl.read(version(family, seed)))
    return owl


def picture(seed: int, width: int, height: int) -> NDArray[np.uint8]:
    """Soft blobs: structure at every scale."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


def png(pixels: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


PICTURES = [picture(1, 120, 90), picture(2, 64, 200), picture(3, 333, 97), picture(4, 96, 96)]
FILES = [png(pixels) for pixels in PICTURES]


def ask(*names: str, template: str | None = "{}", thresholds: Sequence[float | None] = ()) -> TextQuery:
    own = [*thresholds, *[None] * (len(names) - len(thresholds))]
    return TextQuery(tuple(Label(n, i, t) for i, (n, t) in enumerate(zip(names, own, strict=True))), template)


def run(
    owl: OwlVit, files: Sequence[bytes], *queries: TextQuery | ImageQuery, how: Parameters = ALL
) -> list[Detections]:
    """The answers to `files` as one batch; one query for all, or one each."""
    each = queries if len(queries) > 1 else queries * len(files)
    return list(owl.predict([owl.preprocess(Item(data, query, how)) for data, query in zip(files, each, strict=True)]))


def theirs(family: str, pixels: NDArray[np.uint8], names: Sequence[str], threshold: float) -> list[tuple[Any, ...]]:
    """(label, score, box) of what transformers finds, best first."""
    module = network(family)
    processor = FAMILIES[family][3](FAMILIES[family][2](size={"height": SIDE, "width": SIDE}), tokenizer())
    with torch.inference_mode():
        inputs = processor(text=[list(names)], images=Image.fromarray(pixels), return_tensors="pt")
        (found,) = processor.post_process_grounded_object_detection(
            module(**inputs), threshold, target_sizes=[pixels.shape[:2]], text_labels=[list(names)]
        )
    rows = zip(found["text_labels"], found["scores"].tolist(), found["boxes"].tolist(), strict=True)
    return sorted(rows, key=lambda row: -row[1])
