"""Golden cases of the CLIP: texts and small pictures, and the embeddings that its published weights give them."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from transformers import CLIPModel, CLIPProcessor

from services.finetune.demo import render
from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import scenes

TEXTS = (
    "a photo of a red circle",
    "a blue star and two green hearts",
    "a drawing of a yellow shape",
    "there is a hexagon",
    "A cross, which is pink",
    "something else entirely",
)
PICTURES = 3
SIDE = 160


def write_golden(model: CLIPModel, processor: CLIPProcessor, folder: Path, *, seed: int) -> None:
    """Write the cases of shapes world."""
    world = replace(WHOLE, noise=0, aspect=4 / 3, things=(1, 4))
    pictures = [Image.fromarray(render.picture(one, SIDE)) for one in scenes(world, seed=seed, count=PICTURES)]
    write_cases(model, processor, folder, texts=TEXTS, pictures=pictures)


@torch.inference_mode()
def write_cases(
    model: CLIPModel, processor: CLIPProcessor, folder: Path, *, texts: Sequence[str], pictures: Sequence[Image.Image]
) -> None:
    """Write `golden.json` and the pictures it names; embeddings have unit length."""
    (folder / "golden").mkdir()
    tokens = processor(text=list(texts), padding=True, truncation=True, return_tensors="pt")
    said = _unit(model.get_text_features(**tokens).pooler_output)
    cases = [{"text": text, "embedding": embedding} for text, embedding in zip(texts, said, strict=True)]
    for number, picture in enumerate(pictures):
        name = f"golden/{number}.png"
        picture.save(folder / name, optimize=True)
        (embedding,) = _unit(model.get_image_features(**processor(images=picture, return_tensors="pt")).pooler_output)
        cases.append({"image": name, "embedding": embedding})
    (folder / "golden.json").write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


def _unit(features: Tensor) -> list[list[float]]:
    return [[round(value, 5) for value in row] for row in F.normalize(features, dim=-1).tolist()]
