"""The wire contract of detection: what a request may say beside its pictures. Answers are `shared.images.formats`."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

Format = Literal["native", "hf", "coco", "roboflow"]
MaskFormat = Literal["none", "rle", "polygon"]
LabelName = Annotated[str, Field(min_length=1, max_length=64)]


def _split(value: object) -> object:
    """`a,b` as a query or form sends it, and one string where a list is meant."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class DetectRequest(BaseModel):
    """The parameters of `POST /v1/detect`; roboflow's names for them are understood as well."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    model: str | None = Field(
        None,
        validation_alias=AliasChoices("model", "model_id"),
        max_length=64,
        description="Model to ask, one of `GET /v1/models`; the service's first if unset.",
    )
    threshold: float = Field(
        0.5,
        validation_alias=AliasChoices("threshold", "confidence"),
        ge=0,
        le=1,
        description="Least score of a detection.",
    )
    iou_threshold: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Overlap over which the weaker of two boxes of one class goes; the model's own if unset.",
    )
    labels: Annotated[list[LabelName], BeforeValidator(_split)] | None = Field(
        None,
        validation_alias=AliasChoices("labels", "class_filter"),
        min_length=1,
        max_length=100,
        description="Classes to keep, comma-separated in a query; all if unset.",
    )
    max_detections: int = Field(100, ge=1, le=300, description="Most detections of one picture, best first.")
    mask_format: MaskFormat | None = Field(
        None,
        validation_alias=AliasChoices("mask_format", "response_mask_format"),
        description="Masks as COCO run-length encoding or polygons; `rle` if unset and the model has masks.",
    )
    format: Format = Field("native", description="Shape of the answer: ours, Hugging Face's, COCO's or roboflow's.")


class Label(BaseModel):
    """One class."""

    id: int = Field(description="`label_id` of answers")
    label: str


class Labels(BaseModel):
    """The classes that a model knows."""

    object: Literal["list"] = "list"
    model: str
    data: list[Label]
