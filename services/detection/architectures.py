"""Detector architectures: `config.json` of a version -> a torchvision detection module, ready for its weights.

    DetectorConfig -> ARCHITECTURES[name].build(config) -> nn.Module in eval mode, random weights

The full-size networks are torchvision's own, so that its state dicts load unchanged; the tiny ones are the same
meta-architectures on a small ResNet, trainable in minutes on one CPU core. Nothing is ever downloaded.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import detection as tv
from torchvision.models._utils import IntermediateLayerGetter
from torchvision.models.detection.anchor_utils import AnchorGenerator, DefaultBoxGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.ssd import SSD, SSDHead
from torchvision.models.resnet import BasicBlock, ResNet

Family = Literal["faster-rcnn", "ssd", "mask-rcnn"]
Triple = tuple[float, float, float]
Side = Annotated[int, Field(ge=32, le=4096)]

GAP = "N/A"  # the name of a label id that is not in use
# COCO's 80 classes keep their 90 ids, with gaps; the weights' description is read, the weights are not.
COCO_LABELS: tuple[str, ...] = tuple(tv.FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.meta["categories"][1:])

# Enough for a small picture, and what keeps a tiny R-CNN's second stage in milliseconds.
PROPOSALS = {
    "rpn_pre_nms_top_n_train": 400,
    "rpn_post_nms_top_n_train": 200,
    "rpn_pre_nms_top_n_test": 200,
    "rpn_post_nms_top_n_test": 100,
    "rpn_batch_size_per_image": 64,
    "box_batch_size_per_image": 64,
    "box_detections_per_img": 50,
}


class DetectorConfig(BaseModel):
    """What a version's `config.json` says; with it the weights file is a network."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    architecture: str = Field(description="a name in ARCHITECTURES")
    labels: tuple[str, ...] = Field(min_length=1, description="class names; the first has label id 1, 0 is background")
    image_mean: Triple | None = Field(
        None, description="per channel, of pixels in 0-1; the architecture's own if unset"
    )
    image_std: Triple | None = Field(None, description="like image_mean")
    min_size: Side | None = Field(None, description="shorter side that an R-CNN resizes to; side of the tiny SSD")
    max_size: Side | None = Field(None, description="longest side of an R-CNN's input")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.architecture not in ARCHITECTURES:
            raise ValueError(f"architecture must be one of {', '.join(ARCHITECTURES)}")
        names = [label for label in self.labels if label != GAP]
        if len(set(names)) < len(names):
            raise ValueError("labels must differ from each other")
        for field in ("min_size", "max_size"):
            if getattr(self, field) and field not in ARCHITECTURES[self.architecture].sizes:
                raise ValueError(f"{self.architecture} has no {field}: leave it out")
        return self

    @property
    def family(self) -> Family:
        """The name under which this detector is served."""
        return ARCHITECTURES[self.architecture].family

    @property
    def classes(self) -> int:
        """Number of classes as torchvision counts them, with the background."""
        return len(self.labels) + 1

    @property
    def overrides(self) -> dict[str, Any]:
        """The values that were set, as keyword arguments of torchvision's constructors."""
        fields = ("image_mean", "image_std", "min_size", "max_size")
        values = {name: getattr(self, name) for name in fields}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items() if v is not None}


@dataclass(frozen=True, slots=True)
class Architecture:
    """How one kind of detector is built, and which sizes its config may set."""

    family: Family
    build: Callable[[DetectorConfig], nn.Module]
    sizes: frozenset[str]


def build(config: DetectorConfig) -> nn.Module:
    """The network of `config` in eval mode.

    It takes a list of float pictures `[3, height, width]` in 0-1 and returns, per picture, `boxes` `[n, 4]` (x0, y0,
    x1, y1 in pixels of that picture), `labels` `[n]` (1-based), `scores` `[n]` and, for `mask-rcnn`, `masks`
    `[n, 1, height, width]` in 0-1.
    """
    return ARCHITECTURES[config.architecture].build(config).eval()


class _TinySsdBackbone(nn.Module):
    """Three maps at 1/8 (joined with 1/16), 1/16 and 1/32 of the picture."""

    out_channels = (128, 256, 128)

    def __init__(self) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(_tiny_resnet(), {"layer2": "fine", "layer3": "coarse"})
        self.join = _conv(128 + 256, 128, 1)
        self.coarser = nn.Sequential(_conv(256, 64, 1), _conv(64, 128, 3, stride=2))

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        maps = self.body(pictures)
        fine, coarse = maps["fine"], maps["coarse"]
        upsampled = F.interpolate(coarse, size=fine.shape[-2:])
        fine = self.join(torch.cat([fine, upsampled], 1))
        return OrderedDict([("0", fine), ("1", coarse), ("2", self.coarser(coarse))])


def _conv(channels: int, out: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out), nn.ReLU(inplace=True))


def _tiny_resnet() -> nn.Module:
    """A ResNet of one block per stage that ends after stage three: 1/16 of the picture, 256 channels."""
    resnet: nn.Module = ResNet(BasicBlock, [1, 1, 1, 1])
    for unused in ("layer4", "avgpool", "fc"):
        delattr(resnet, unused)
    return resnet


def _tiny_ssd(config: DetectorConfig) -> nn.Module:
    sizes = {"min_size", "max_size"}
    overrides = {name: value for name, value in config.overrides.items() if name not in sizes}
    backbone = _TinySsdBackbone()
    boxes = DefaultBoxGenerator([[], [], []], scales=[0.15, 0.28, 0.40, 0.55], steps=[8, 16, 32])
    head = SSDHead(list(backbone.out_channels), boxes.num_anchors_per_location(), config.classes)
    side = config.min_size or 160
    limits = {"score_thresh": 0.05, "detections_per_img": 50, "topk_candidates": 100}
    model: nn.Module = SSD(backbone, boxes, (side, side), config.classes, head=head, **limits, **overrides)
    return model


def _tiny_rcnn(config: DetectorConfig, make: Callable[..., nn.Module], **heads: nn.Module) -> nn.Module:
    stages = {"layer1": "0", "layer2": "1", "layer3": "2"}
    backbone = BackboneWithFPN(_tiny_resnet(), stages, [64, 128, 256], 64)
    anchors = AnchorGenerator(((16,), (24,), (40,), (64,)), ((1.0,),) * 4)
    boxes = {"box_head": TwoMLPHead(64 * 7 * 7, 128), "box_predictor": FastRCNNPredictor(128, config.classes)}
    sizes = {"min_size": 160, "max_size": 320}
    return make(backbone, rpn_anchor_generator=anchors, **boxes, **heads, **PROPOSALS, **(sizes | config.overrides))


def _tiny_faster_rcnn(config: DetectorConfig) -> nn.Module:
    return _tiny_rcnn(config, tv.FasterRCNN)


def _tiny_mask_rcnn(config: DetectorConfig) -> nn.Module:
    predictor = MaskRCNNPredictor(64, 64, config.classes)
    return _tiny_rcnn(config, tv.MaskRCNN, mask_head=MaskRCNNHeads(64, (64, 64), 1), mask_predictor=predictor)


def _torchvision(make: Callable[..., nn.Module]) -> Callable[[DetectorConfig], nn.Module]:
    def full_size(config: DetectorConfig) -> nn.Module:
        return make(weights=None, weights_backbone=None, num_classes=config.classes, **config.overrides)

    return full_size


def _torchvision_v1(make: Callable[..., nn.Module]) -> Callable[[DetectorConfig], nn.Module]:
    """The first R-CNNs of torchvision: their published weights were trained with a frozen norm of epsilon 0."""

    def full_size(config: DetectorConfig) -> nn.Module:
        model = _torchvision(make)(config)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
        return model

    return full_size


_RCNN = frozenset({"min_size", "max_size"})
ARCHITECTURES: Mapping[str, Architecture] = {
    "tiny-faster-rcnn": Architecture("faster-rcnn", _tiny_faster_rcnn, _RCNN),
    "tiny-ssd": Architecture("ssd", _tiny_ssd, frozenset({"min_size"})),
    "tiny-mask-rcnn": Architecture("mask-rcnn", _tiny_mask_rcnn, _RCNN),
    "fasterrcnn_resnet50_fpn": Architecture("faster-rcnn", _torchvision_v1(tv.fasterrcnn_resnet50_fpn), _RCNN),
    "fasterrcnn_resnet50_fpn_v2": Architecture("faster-rcnn", _torchvision(tv.fasterrcnn_resnet50_fpn_v2), _RCNN),
    "ssd300_vgg16": Architecture("ssd", _torchvision(tv.ssd300_vgg16), frozenset()),
    "ssdlite320_mobilenet_v3_large": Architecture("ssd", _torchvision(tv.ssdlite320_mobilenet_v3_large), frozenset()),
    "maskrcnn_resnet50_fpn": Architecture("mask-rcnn", _torchvision_v1(tv.maskrcnn_resnet50_fpn), _RCNN),
    "maskrcnn_resnet50_fpn_v2": Architecture("mask-rcnn", _torchvision(tv.maskrcnn_resnet50_fpn_v2), _RCNN),
}
