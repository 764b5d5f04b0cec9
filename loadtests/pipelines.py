"""The bare side: pictures through a network as a script does it, with no service around.

torchvision   decoded pictures -> model(pictures)
clip          JPEGs -> Pillow -> CLIPProcessor -> get_image_features -> unit vectors
owlvit        JPEGs -> Pillow -> OwlViTProcessor -> image_embedder, class and box predictor -> detections; labels once
owlvit-forward    the same by the model's own forward, whose text tower reads the labels for every picture
"""

import io
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import detection

from loadtests.pictures import decoded
from loadtests.questions import LABELS, THRESHOLD

Pipeline = Callable[[Sequence[bytes]], object]


def build(architecture: str) -> nn.Module:
    """A full-size detector of torchvision with random weights, which drops by itself what the service drops."""
    torch.manual_seed(0)
    threshold: dict[str, Any] = {"score_thresh" if architecture.startswith("ssd") else "box_score_thresh": THRESHOLD}
    model: nn.Module = getattr(detection, architecture)(weights=None, weights_backbone=None, **threshold)
    return model.eval()


def detector(architecture: str, weights: Path | None) -> Pipeline:
    """torchvision's detector with the state dict `weights`, or with random ones; pictures are decoded only once."""
    model: Any = build(architecture)
    if weights:
        model.load_state_dict(torch.load(weights, weights_only=True))

    @cache
    def picture(jpeg: bytes) -> Tensor:
        return torch.from_numpy(decoded(jpeg))

    return lambda jpegs: model([picture(jpeg) for jpeg in jpegs])


def clip(folder: Path) -> Pipeline:
    """Image embeddings by the CLIP in `folder`."""
    from transformers import CLIPModel, CLIPProcessor

    processor: Any = CLIPProcessor.from_pretrained(folder)
    model: Any = CLIPModel.from_pretrained(folder, dtype=torch.float32)

    model.eval()

    def embed(jpegs: Sequence[bytes]) -> Any:
        inputs = processor(images=_opened(jpegs), return_tensors="pt")
        return nn.functional.normalize(model.get_image_features(**inputs).pooler_output, dim=-1).tolist()

    return embed


def owlvit(folder: Path) -> Pipeline:
    """Detections of `LABELS` by the OWL-ViT in `folder`, whose text tower runs once and for all."""
    from transformers.models.owlvit.modeling_owlvit import OwlViTObjectDetectionOutput

    processor, model = _owlvit(folder)
    with torch.inference_mode():
        queries = model.owlvit.get_text_features(**processor(text=[list(LABELS)], return_tensors="pt")).pooler_output

    def detect(jpegs: Sequence[bytes]) -> Any:
        pictures = _opened(jpegs)
        features = model.image_embedder(processor(images=pictures, return_tensors="pt").pixel_values)[0]
        patches = features.flatten(1, 2)
        logits = model.class_predictor(patches, queries.expand(len(pictures), -1, -1))[0]
        boxes = model.box_predictor(patches, features)
        return _found(processor, OwlViTObjectDetectionOutput(logits=logits, pred_boxes=boxes), pictures)

    return detect


def owlvit_forward(folder: Path) -> Pipeline:
    """The same detections by the network's own forward."""
    processor, model = _owlvit(folder)

    def detect(jpegs: Sequence[bytes]) -> Any:
        pictures = _opened(jpegs)
        inputs = processor(text=[list(LABELS)] * len(pictures), images=pictures, return_tensors="pt")
        return _found(processor, model(**inputs), pictures)

    return detect


PRETRAINED: dict[str, Callable[[Path], Pipeline]] = {"clip": clip, "owlvit": owlvit, "owlvit-forward": owlvit_forward}


def _owlvit(folder: Path) -> tuple[Any, Any]:
    from transformers import OwlViTForObjectDetection, OwlViTProcessor

    model: Any = OwlViTForObjectDetection.from_pretrained(folder, dtype=torch.float32)
    return OwlViTProcessor.from_pretrained(folder), model.eval()


def _opened(jpegs: Sequence[bytes]) -> list[Image.Image]:
    return [Image.open(io.BytesIO(jpeg)).convert("RGB") for jpeg in jpegs]


def _found(processor: Any, output: Any, pictures: Sequence[Image.Image]) -> Any:
    sizes = [(picture.height, picture.width) for picture in pictures]
    return processor.post_process_grounded_object_detection(output, THRESHOLD, target_sizes=sizes)
