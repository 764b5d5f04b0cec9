"""The image path of a checkpoint: its preprocessor_config.json in, the same pixels as its Hugging Face processor out.

read_pixel_config   preprocessor_config.json -> PixelConfig, or a refusal of what is not done here
prepare             bytes -> decode -> resize and crop -> uint8 [3, h, w]      CPU pool, this request only
normalise           uint8 [n, 3, h, w] -> float32, mean and std taken out     with the batch, on its device

Pictures stay bytes until the batch: a quarter of the memory in the queue and on the way to a GPU. Sizes and defaults
are transformers' own: its processor class reads the file, and its resampling is torchvision's, called here directly.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as T
from transformers import CLIPImageProcessor, Owlv2ImageProcessor, OwlViTImageProcessor

from shared.accel.agreement import patterns
from shared.accel.decode import decode
from shared.accel.pretrained import UNBUILDABLE, read_json
from shared.accel.square import to_square
from shared.errors import InvalidImage
from shared.laps import lap
from shared.serving.model import RefusedWeights
from shared.settings import Limits

Size = tuple[int, int]  # height, width

PROCESSORS = {"CLIP": CLIPImageProcessor, "OwlViT": OwlViTImageProcessor, "Owlv2": Owlv2ImageProcessor}
INTERPOLATIONS = {2: InterpolationMode.BILINEAR, 3: InterpolationMode.BICUBIC}  # Pillow's numbers
MOST = 4096  # pixels of a side of the network's input


@dataclass(frozen=True, slots=True)
class PixelConfig:
    """How a picture becomes the network's input.

    size     what it is resized to: (height, width), or the shorter side alone
    crop     what is kept around the centre, (height, width)
    square   padded at its right and lower border to a square first, as OWLv2 does
    mean     of each channel, and `std`, in levels of 0 to 255 (see `normalise`)
    """

    size: Size | int
    crop: Size | None
    interpolation: InterpolationMode
    square: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def shape(self) -> Size:
        """Height and width of the network's input."""
        if self.crop is not None:
            return self.crop
        assert isinstance(self.size, tuple)
        return self.size


def read_pixel_config(path: Path) -> PixelConfig:
    """The image path of a version directory. Raises `RefusedWeights` for one that cannot be followed exactly."""
    try:
        return _config(_processor(_fields(path)))
    except UNBUILDABLE as error:
        raise RefusedWeights("The configuration of the image processor is not valid.") from error


def prepare(data: bytes, config: PixelConfig, limits: Limits, *, field: str = "image") -> Tensor:
    """A picture as the network takes it, before `normalise`: uint8 [3, height, width].

    Raises `InvalidImage` (400), `TooLarge` (413) or `UnsupportedMedia` (415), each naming `field`.
    """
    with lap("decode"):
        pixels = decode(data, limits, field=field)
    if config.square:
        return to_square(pixels, config.shape)
    size = _resized(pixels, config, limits, field=field)
    resized: Tensor = T.resize_image(pixels, list(size), config.interpolation, antialias=True)
    if config.crop is None:
        return resized
    top, left = ((side - kept) // 2 for side, kept in zip(size, config.crop, strict=True))
    kept = resized[:, top : top + config.crop[0], left : left + config.crop[1]]
    return kept.clone()  # so that the rest of a long picture does not wait in the queue with it


def normalise(batch: Tensor, config: PixelConfig) -> Tensor:
    """`(levels - mean) / std` of uint8 [n, 3, height, width], as float32 on the device of `batch`."""
    mean, std = (torch.tensor(levels, device=batch.device)[:, None, None] for levels in (config.mean, config.std))
    return batch.float().sub_(mean).div_(std)


def examples(config: PixelConfig) -> Tensor:
    """Two normalised pictures [2, 3, height, width] on which two forms of a network can be compared."""
    return normalise(torch.stack(patterns(*config.shape)), config)


def _fields(path: Path) -> dict[str, Any]:
    if (path / "preprocessor_config.json").exists():
        return read_json(path / "preprocessor_config.json")
    fields = read_json(path / "processor_config.json").get("image_processor")
    if not isinstance(fields, dict):
        raise RefusedWeights("processor_config.json has no image_processor: how pictures are prepared is unknown.")
    return fields


def _processor(fields: Mapping[str, Any]) -> Any:
    """The processor that transformers makes of the file, which knows the defaults of what the file leaves out."""
    name = str(fields.get("image_processor_type") or fields.get("feature_extractor_type") or "CLIP")
    for family, processor in PROCESSORS.items():
        if name in {family, f"{family}ImageProcessor", f"{family}ImageProcessorFast", f"{family}FeatureExtractor"}:
            return processor.from_dict(dict(fields))
    raise RefusedWeights(f"The image processor {name[:80]!r} is not one of {', '.join(PROCESSORS)}.")


def _config(processor: Any) -> PixelConfig:
    crops = bool(processor.do_center_crop)
    square = bool(getattr(processor, "do_pad", False))
    levels = 1 / processor.rescale_factor if processor.do_rescale else 1.0
    config = PixelConfig(
        size=_size(processor.size),
        crop=(processor.crop_size["height"], processor.crop_size["width"]) if crops else None,
        interpolation=INTERPOLATIONS.get(int(processor.resample), InterpolationMode.LANCZOS),
        square=square,
        mean=tuple(float(v) * levels for v in processor.image_mean) if processor.do_normalize else (0.0,) * 3,
        std=tuple(float(v) * levels for v in processor.image_std) if processor.do_normalize else (levels,) * 3,
    )
    if not processor.do_resize or (isinstance(processor, Owlv2ImageProcessor) and not square):
        raise RefusedWeights("The image processor leaves out the resizing or the padding that its network needs.")
    _check(config)
    return config


def _size(size: Mapping[str, int | None]) -> Size | int:
    """Height and width, or the shorter side; transformers' own mapping has every key, most of them None."""
    given = {name: side for name, side in dict(size).items() if side is not None}
    if given.keys() == {"shortest_edge"}:
        return int(given["shortest_edge"])
    if given.keys() == {"height", "width"}:
        return int(given["height"]), int(given["width"])
    raise RefusedWeights(f"The image processor resizes by {', '.join(sorted(given))}, which is not done here.")


def _check(config: PixelConfig) -> None:
    """Refuse what would change the picture in a way that is not done here."""
    size = (config.size, config.size) if isinstance(config.size, int) else config.size
    if config.crop is None and isinstance(config.size, int):
        raise RefusedWeights("The image processor keeps the shape of each picture; batches need one shape.")
    if config.interpolation not in INTERPOLATIONS.values():
        raise RefusedWeights("The image processor resamples with another filter than bilinear and bicubic.")
    if not all(1 <= side <= MOST for side in (*size, *config.shape)):
        raise RefusedWeights(f"The image processor makes pictures of no pixel, or over {MOST} a side.")
    if config.crop is not None and (config.crop[0] > size[0] or config.crop[1] > size[1]):
        raise RefusedWeights("The image processor crops more than it resizes to.")
    if config.square and (
        config.crop is not None or size[0] != size[1] or config.interpolation != InterpolationMode.BILINEAR
    ):
        raise RefusedWeights("The image processor pads to a square and then does not resize to one, bilinearly.")
    if not (len(config.mean) == len(config.std) == 3 and all(map(math.isfinite, config.mean)) and min(config.std) > 0):
        raise RefusedWeights("The image processor's mean and std are not three numbers each, above zero for std.")


def _resized(pixels: Tensor, config: PixelConfig, limits: Limits, *, field: str) -> Size:
    """Height and width after resizing. Raises `InvalidImage` where the longer side would grow beyond all limits."""
    if isinstance(config.size, tuple):
        return config.size
    height, width = pixels.shape[1:]
    short, long = config.size, int(config.size * max(height, width) / min(height, width))
    if short * long > limits.image_pixels:
        raise InvalidImage(
            f"A picture of {width} x {height} pixels is too narrow for this model: with the shorter side at {short}, "
            "the longer one would be over the limit. Crop the longer one.",
            code="image_too_narrow",
            param=field,
        )
    return (short, long) if height <= width else (long, short)
