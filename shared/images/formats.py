"""Detections -> one of four wire shapes -> JSON.

One picture gives the plain shape. Several give: native, a list object whose entries carry an `index`; hf, an array of
arrays; coco, one array with `image_id` as the index; roboflow, an array of objects.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Protocol

from pydantic_core import to_json

from shared.images.answers import (
    Answer,
    Box,
    CocoObject,
    HfAnswer,
    HfObject,
    IntegerBox,
    Native,
    NativeAnswer,
    NativeList,
    NativeObject,
    Point,
    PolygonMask,
    Rle,
    RleMask,
    Roboflow,
    RoboflowAnswer,
    RoboflowObject,
    Size,
    Usage,
)
from shared.images.detections import Detection, Detections, Mask
from shared.images.masks import encode_rle, polygons
from shared.serving.model import Identity

Format = Literal["native", "hf", "coco", "roboflow"]
MaskFormat = Literal["none", "rle", "polygon"]


class Answered(Protocol):
    """What the serving core hands back for one picture; `stages` are in seconds."""

    @property
    def result(self) -> Any:
        """The `Detections` of the picture."""

    @property
    def identity(self) -> Identity:
        """The weights that answered."""

    @property
    def stages(self) -> Mapping[str, float]:
        """Seconds of each stage."""


def render(answers: Sequence[Answered], shape: Format, mask_format: MaskFormat, request_id: str) -> bytes:
    """The JSON body of the answers to one request, in the order of its pictures."""
    return to_json(_SHAPES[shape](answers, mask_format, request_id), exclude_none=True, by_alias=True)


def native(answers: Sequence[Answered], mask_format: MaskFormat, request_id: str) -> NativeAnswer:
    """Our own shape, a superset of the others."""
    if len(answers) == 1:
        return _native(answers[0], mask_format, request_id, None)
    data = [_native(answer, mask_format, f"{request_id}-{i}", i) for i, answer in enumerate(answers)]
    return NativeList(id=request_id, data=data, usage=Usage(images=len(data)))


def hf(answers: Sequence[Answered], mask_format: MaskFormat, _: str) -> HfAnswer:
    """The output of Hugging Face's object-detection task: boxes in whole pixels."""
    pictures = [[_hf(item, mask_format) for item in _found(answer).items] for answer in answers]
    return pictures[0] if len(pictures) == 1 else pictures


def coco(answers: Sequence[Answered], mask_format: MaskFormat, _: str) -> list[CocoObject]:
    """Lines of a COCO results file."""
    return [
        _coco(item, mask_format, image_id) for image_id, answer in enumerate(answers) for item in _found(answer).items
    ]


def roboflow(answers: Sequence[Answered], mask_format: MaskFormat, request_id: str) -> RoboflowAnswer:
    """The answer of roboflow's inference server."""
    if len(answers) == 1:
        return _roboflow(answers[0], mask_format, request_id)
    return [_roboflow(answer, mask_format, f"{request_id}-{i}") for i, answer in enumerate(answers)]


_SHAPES: dict[Format, Callable[[Sequence[Answered], MaskFormat, str], Answer]] = {
    "native": native,
    "hf": hf,
    "coco": coco,
    "roboflow": roboflow,
}


def _native(answer: Answered, mask_format: MaskFormat, name: str, index: int | None) -> Native:
    found = _found(answer)
    objects = [
        NativeObject(
            box=Box(**_corners(item)),
            label=item.label,
            label_id=item.label_id,
            score=_share(item.score),
            mask=_mask(item.mask, mask_format),
        )
        for item in found.items
    ]
    return Native(
        id=name,
        index=index,
        model=answer.identity.model,
        model_version=answer.identity.version,
        image=Size(width=found.width, height=found.height),
        data=objects,
        usage=Usage(images=1),
        timings_ms={stage: round(seconds * 1000, 3) for stage, seconds in answer.stages.items()},
    )


def _hf(item: Detection, mask_format: MaskFormat) -> HfObject:
    box = IntegerBox(**{corner: round(value) for corner, value in _corners(item).items()})
    return HfObject(score=_share(item.score), label=item.label, box=box, mask=_mask(item.mask, mask_format))


def _coco(item: Detection, mask_format: MaskFormat, image_id: int) -> CocoObject:
    mask = _mask(item.mask, mask_format)
    left, top, right, bottom = item.box
    return CocoObject(
        image_id=image_id,
        category_id=item.label_id,
        bbox=(_pixels(left), _pixels(top), _pixels(right - left), _pixels(bottom - top)),
        score=_share(item.score),
        segmentation=mask.polygons if isinstance(mask, PolygonMask) else _rle(mask),
    )


def _roboflow(answer: Answered, mask_format: MaskFormat, inference_id: str) -> Roboflow:
    found = _found(answer)
    return Roboflow(
        inference_id=inference_id,
        time=sum(answer.stages.values()),
        image=Size(width=found.width, height=found.height),
        predictions=[
            _prediction(item, mask_format, f"{inference_id}.{number}") for number, item in enumerate(found.items)
        ],
    )


def _prediction(item: Detection, mask_format: MaskFormat, detection_id: str) -> RoboflowObject:
    mask = _mask(item.mask, mask_format)
    left, top, right, bottom = item.box
    return RoboflowObject(
        x=_pixels((left + right) / 2),
        y=_pixels((top + bottom) / 2),
        width=_pixels(right - left),
        height=_pixels(bottom - top),
        confidence=_share(item.score),
        class_name=item.label,
        class_id=item.label_id,
        detection_id=detection_id,
        mask_format=mask.format if mask else None,
        points=_points(mask) if isinstance(mask, PolygonMask) else None,
        rle=_rle(mask) if isinstance(mask, RleMask) else None,
    )


def _found(answer: Answered) -> Detections:
    found: Detections = answer.result
    return found


def _corners(item: Detection) -> dict[str, float]:
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), map(_pixels, item.box), strict=True))


def _pixels(value: float) -> float:
    """To a thousandth of a pixel: what float32 arithmetic on a picture can tell, and no digits of noise."""
    return round(value, 3)


def _share(value: float) -> float:
    return round(value, 5)


def _mask(mask: Mask | None, mask_format: MaskFormat) -> RleMask | PolygonMask | None:
    if mask is None or mask_format == "none":
        return None
    if mask_format == "polygon":
        return PolygonMask(polygons=polygons(mask))
    return RleMask(**encode_rle(mask))


def _rle(mask: RleMask | None) -> Rle | None:
    return Rle(size=mask.size, counts=mask.counts) if mask else None


def _points(mask: PolygonMask) -> list[Point]:
    """The contour that encloses the widest box, since this shape has room for one."""
    largest = max(mask.polygons, key=_extent, default=[])
    return [Point(x=x, y=y) for x, y in zip(largest[::2], largest[1::2], strict=True)]


def _extent(ring: Sequence[float]) -> float:
    xs, ys = ring[::2], ring[1::2]
    return (max(xs) - min(xs)) * (max(ys) - min(ys))
