"""The four shapes in which detections travel, as models for answers and OpenAPI.

Coordinates are absolute pixels of the picture after EXIF orientation in all four. Fields that are None are left out.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Score = Annotated[float, Field(description="confidence, 0 to 1")]
Pixels = Annotated[float, Field(description="pixels")]
Ring = Annotated[list[float], Field(description="outer contour x1, y1, x2, y2, … in pixels")]


class Wire(BaseModel):
    """What all answers share: they are immutable and may be built by field name."""

    model_config = ConfigDict(frozen=True, populate_by_name=True)


class Rle(Wire):
    """A mask in COCO's compressed run lengths."""

    size: tuple[int, int] = Field(description="height and width in pixels")
    counts: str = Field(description="runs of a column-wise scan, as pycocotools writes them")


class RleMask(Rle):
    """A mask as run lengths, exact."""

    format: Literal["rle"] = "rle"


class PolygonMask(Wire):
    """A mask as its outer contours, within a pixel; holes are filled."""

    format: Literal["polygon"] = "polygon"
    polygons: list[Ring]


Mask = Annotated[RleMask | PolygonMask, Field(discriminator="format")]


class Size(Wire):
    """The picture that was looked at."""

    width: int = Field(description="pixels, after EXIF orientation")
    height: int = Field(description="pixels, after EXIF orientation")


class Usage(Wire):
    """What the request used."""

    images: int = Field(description="pictures looked at")


# native


class Box(Wire):
    """Two corners; xmin and ymin are the left and upper ones."""

    xmin: Pixels
    ymin: Pixels
    xmax: Pixels
    ymax: Pixels


class NativeObject(Wire):
    """One object."""

    box: Box
    label: str
    label_id: int
    score: Score
    mask: Mask | None = None


class Native(Wire):
    """All objects of one picture, the best score first."""

    id: str = Field(description="request id; with a number behind it where the request had several pictures")
    object: Literal["detection"] = "detection"
    index: int | None = Field(None, description="number of the picture in the request, where there were several")
    model: str
    model_version: str
    image: Size
    data: list[NativeObject]
    usage: Usage
    timings_ms: dict[str, float] = Field(description="milliseconds of each stage")


class NativeList(Wire):
    """The answers to several pictures of one request, in their order."""

    id: str = Field(description="request id")
    object: Literal["list"] = "list"
    data: list[Native]
    usage: Usage


# Hugging Face: object-detection


class IntegerBox(Wire):
    """Two corners in whole pixels."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int


class HfObject(Wire):
    """One object as the Hugging Face object-detection task tells it; `mask` is our addition."""

    score: Score
    label: str
    box: IntegerBox
    mask: Mask | None = None


# COCO results


class CocoObject(Wire):
    """One line of a COCO results file."""

    image_id: int = Field(description="number of the picture in the request")
    category_id: int
    bbox: tuple[float, float, float, float] = Field(description="left, top, width, height in pixels")
    score: Score
    segmentation: Rle | list[Ring] | None = None


# roboflow


class Point(Wire):
    """A corner of a contour."""

    x: Pixels
    y: Pixels


class RoboflowObject(Wire):
    """One object as roboflow's inference server tells it: x and y are the centre of the box."""

    x: Pixels
    y: Pixels
    width: Pixels
    height: Pixels
    confidence: Score
    class_name: str = Field(alias="class")
    class_id: int
    detection_id: str
    mask_format: Literal["rle", "polygon"] | None = None
    points: list[Point] | None = Field(None, description="the largest contour of the mask")
    rle: Rle | None = None


class Roboflow(Wire):
    """All objects of one picture as roboflow's inference server tells them."""

    inference_id: str
    time: float = Field(description="seconds")
    image: Size
    predictions: list[RoboflowObject]


NativeAnswer = Native | NativeList
HfAnswer = list[HfObject] | list[list[HfObject]]
RoboflowAnswer = Roboflow | list[Roboflow]
Answer = NativeAnswer | HfAnswer | list[CocoObject] | RoboflowAnswer
