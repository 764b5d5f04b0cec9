"""The wire contract of open-vocabulary detection: what a request may say beside its pictures.

Answers are those of closed-set detection: `shared.images.answers`.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from services.owlvit.labels import LONGEST, MOST
from shared import strict_json

Format = Literal["native", "hf", "coco", "roboflow"]

NAME = {"type": "string", "minLength": 1, "maxLength": LONGEST}
OWN_THRESHOLD = {"type": "number", "minimum": 0, "maximum": 1}
LABEL = {"type": "object", "properties": {"label": NAME, "threshold": OWN_THRESHOLD}, "required": ["label"]}
LABELS = {"type": "array", "items": {"anyOf": [NAME, LABEL]}, "minItems": 1, "maxItems": MOST}
EXAMPLE = {"type": "string", "description": "Base64 of the picture, plain or as a data URI."}


def _split(value: object) -> object:
    """`a,b` as a query or form sends it, one string where a list is meant, or a JSON list inside a form."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return strict_json.loads(value.encode(), depth=3)
    return [part.strip() for part in value.split(",")]


class OpenDetectRequest(BaseModel):
    """The parameters of `POST /v1/detect/open`; Hugging Face's and roboflow's names for them are understood as well."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    model: str | None = Field(
        None,
        validation_alias=AliasChoices("model", "model_id"),
        max_length=64,
        description="Model to ask, one of `GET /v1/models`; the service's first if unset.",
    )
    labels: Annotated[list[Any], BeforeValidator(_split), WithJsonSchema(LABELS)] | None = Field(
        None,
        validation_alias=AliasChoices("labels", "candidate_labels", "queries", "text"),
        description="What to find: words or phrases, comma-separated in a query; or objects with a threshold each.",
    )
    template: str | None = Field(
        None,
        validation_alias=AliasChoices("template", "hypothesis_template"),
        max_length=128,
        description="Sentence that each label is put into, at `{}`; the model's own if unset, and `{}` for none.",
    )
    query_image: Annotated[Any, WithJsonSchema(EXAMPLE)] = Field(
        None, description="An example of what to find, instead of labels: base64 or a data URI."
    )
    query_box: Annotated[list[float], BeforeValidator(_split)] | None = Field(
        None,
        min_length=4,
        max_length=4,
        description="Box of the example, xmin, ymin, xmax, ymax in pixels of `query_image`, or of the picture itself.",
    )
    threshold: float | None = Field(
        None,
        validation_alias=AliasChoices("threshold", "confidence"),
        ge=0,
        le=1,
        description="Least score of a detection, for labels without one of their own; the model's own if unset.",
    )
    iou_threshold: float | None = Field(
        None,
        validation_alias=AliasChoices("iou_threshold", "nms_threshold"),
        ge=0,
        le=1,
        description="Overlap over which the weaker of two boxes goes, whatever their labels; if unset, only boxes "
        "found by an example are sifted.",
    )
    max_detections: int = Field(100, ge=1, le=300, description="Most detections of one picture, best first.")
    format: Format = Field("native", description="Shape of the answer: ours, Hugging Face's, COCO's or roboflow's.")
