"""The image path against the Hugging Face processors of the same files."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    Owlv2ImageProcessor,
    OwlViTImageProcessor,
)

from shared.accel.pixels import PixelConfig, normalise, prepare, read_pixel_config
from shared.errors import InvalidImage, OcelliError, TooLarge
from shared.serving.model import RefusedWeights
from shared.settings import Limits

LIMITS = Limits()
SIZES = [(640, 480), (481, 317), (67, 211), (224, 224), (100, 33), (1000, 999)]  # width, height
PROCESSORS = {
    "clip": CLIPImageProcessor(),
    "clip-336": CLIPImageProcessor(size={"shortest_edge": 336}, crop_size={"height": 336, "width": 336}),
    "clip-bilinear": CLIPImageProcessor(size={"shortest_edge": 40}, crop_size={"height": 32, "width": 40}, resample=2),
    "owlvit": OwlViTImageProcessor(),
    "owlv2": Owlv2ImageProcessor(size={"height": 240, "width": 240}),
}


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Detail at every scale: gradients, discs and noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    pixels = np.stack([x / width * 200, y / height * 200, (x + y) / (width + height) * 200], axis=-1)
    for _ in range(10):
        inside = (x - rng.random() * width) ** 2 + (y - rng.random() * height) ** 2 < (0.2 * min(width, height)) ** 2
        pixels[inside] = rng.random(3) * 255
    return Image.fromarray(np.clip(pixels + rng.normal(0, 20, pixels.shape), 0, 255).astype(np.uint8))


def encoded(image: Image.Image, fmt: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def config_of(processor: Any, folder: Path) -> PixelConfig:
    processor.save_pretrained(folder)
    return read_pixel_config(folder)


def expected(processor: Any, data: bytes) -> Tensor:
    pixels: Tensor = processor(Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt").pixel_values
    return pixels


def levels(pixels: Tensor, config: PixelConfig) -> Tensor:
    """Normalised pixels in levels of 0 to 255 again."""
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    return pixels * std + mean


@pytest.mark.parametrize("fmt", ["JPEG", "PNG"])
@pytest.mark.parametrize("name", PROCESSORS)
def test_the_pixels_are_those_of_the_hugging_face_processor(name: str, fmt: str, tmp_path: Path) -> None:
    processor = PROCESSORS[name]
    config = config_of(processor, tmp_path)
    for size in SIZES:
        data = encoded(photo(*size), fmt)
        mine = normalise(prepare(data, config, LIMITS)[None], config)
        theirs = expected(processor, data)
        assert mine.shape == theirs.shape
        # OWLv2's are fractions of a level, which are rounded here; the others are whole levels, and the same ones.
        limit = 0.502 if name == "owlv2" else 0.001
        assert (levels(mine, config) - levels(theirs, config)).abs().max() <= limit


def test_embeddings_are_those_of_the_hugging_face_processor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape: dict[str, Any] = {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
    }
    tower: Any = CLIPVisionModel(CLIPVisionConfig(**shape, image_size=224, patch_size=32))  # has no dropout
    processor = PROCESSORS["clip"]
    config = config_of(processor, tmp_path)
    files = [encoded(photo(*size, seed=seed), "JPEG") for seed, size in enumerate(SIZES)]
    with torch.inference_mode():
        mine = tower(normalise(torch.stack([prepare(data, config, LIMITS) for data in files]), config)).pooler_output
        theirs = tower(torch.cat([expected(processor, data) for data in files])).pooler_output
    centre = theirs.mean(0)
    assert torch.cosine_similarity(mine, theirs).min() >= 0.99999
    assert torch.cosine_similarity(mine - centre, theirs - centre).min() >= 0.99999


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_jpegs_of_one_and_of_four_colours_are_taken(mode: str, tmp_path: Path) -> None:
    config = config_of(PROCESSORS["clip"], tmp_path)
    data = encoded(photo(300, 200).convert(mode), "JPEG")
    mine = normalise(prepare(data, config, LIMITS)[None], config)
    assert (levels(mine, config) - levels(expected(PROCESSORS["clip"], data), config)).abs().max() <= 1


def test_a_turned_jpeg_is_set_upright(tmp_path: Path) -> None:
    config = config_of(PROCESSORS["owlvit"], tmp_path)
    exif = Image.Exif()
    exif[274] = 6
    data = encoded(photo(60, 40), "JPEG", exif=exif)
    upright = encoded(ImageOps.exif_transpose(Image.open(io.BytesIO(data))), "PNG")
    assert torch.equal(prepare(data, config, LIMITS), prepare(upright, config, LIMITS))


def test_limits_hold_before_anything_is_decoded(tmp_path: Path) -> None:
    config = config_of(PROCESSORS["clip"], tmp_path)
    with pytest.raises(TooLarge) as refusal:
        prepare(encoded(photo(200, 100), "JPEG"), config, Limits(image_pixels=19_999), field="images[3]")
    assert refusal.value.param == "images[3]"


@pytest.mark.parametrize("cut", [10, 600, -900])
def test_a_damaged_jpeg_is_refused_in_our_own_words(cut: int, tmp_path: Path) -> None:
    config = config_of(PROCESSORS["clip"], tmp_path)
    with pytest.raises(OcelliError) as refusal:
        prepare(encoded(photo(200, 100), "JPEG")[:cut], config, LIMITS, field="image")
    assert (refusal.value.status, refusal.value.param) == (400, "image")


def test_a_picture_that_would_grow_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    config = config_of(PROCESSORS["clip"], tmp_path)
    with pytest.raises(InvalidImage) as refusal:
        prepare(encoded(Image.new("RGB", (16_000, 2)), "PNG"), config, LIMITS, field="image")
    assert refusal.value.code == "image_too_narrow"


def test_a_long_narrow_picture_is_squared_without_its_square(tmp_path: Path) -> None:
    """The square would hold 256 million pixels."""
    config = config_of(PROCESSORS["owlv2"], tmp_path)
    pixels = prepare(encoded(Image.new("RGB", (16_000, 1000), "white"), "PNG"), config, LIMITS)
    assert pixels[:, :10].min() == 255
    assert pixels[:, 20:].max() == 0


def test_configurations_of_old_checkpoints_are_understood(tmp_path: Path) -> None:
    old = {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224, "resample": 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    config = read_pixel_config(tmp_path)
    assert (config.size, config.crop, config.shape) == (224, (224, 224), (224, 224))
    old = {"feature_extractor_type": "OwlViTFeatureExtractor", "size": [768, 768], "do_center_crop": False}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    config = read_pixel_config(tmp_path)
    assert (config.size, config.crop, config.square) == ((768, 768), None, False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": {"shortest_edge": 224, "longest_edge": 500}},
        {"size": {"shortest_edge": 100}, "crop_size": {"height": 224, "width": 224}},
        {"do_center_crop": False},
        {"do_resize": False},
        {"resample": 0},
        {"size": "large"},
        {"size": {"shortest_edge": 10**9}, "crop_size": {"height": 10**9, "width": 10**9}},
        {"image_std": [0, 1, 1]},
        {"image_mean": [0.5]},
        {"image_processor_type": "SiglipImageProcessor"},
    ],
)
def test_what_cannot_be_followed_exactly_is_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor"} | wrong)
    )
    with pytest.raises(RefusedWeights):
        read_pixel_config(tmp_path)


def test_a_processor_without_an_image_processor_is_refused(tmp_path: Path) -> None:
    (tmp_path / "processor_config.json").write_text(json.dumps({"processor_class": "CLIPProcessor"}))
    with pytest.raises(RefusedWeights, match="image_processor"):
        read_pixel_config(tmp_path)
