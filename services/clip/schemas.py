"""The wire contract of the CLIP service: what a request may say, and the answers."""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from services.clip.labelsets import MAX_LABEL, MAX_LABELS, MAX_TEMPLATE, MAX_TEMPLATES, Activation

MAX_TEXTS, MAX_TEXT = 64, 4096

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]
LabelName = Annotated[str, Field(min_length=1, max_length=MAX_LABEL)]
TemplateText = Annotated[str, Field(min_length=1, max_length=MAX_TEMPLATE)]
Space = Annotated[str, Field(description="id of the embedding space; vectors compare only within one")]


def _split(value: object) -> object:
    """`a,b` as a query, a form or Hugging Face's clients send it."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _listed(value: object) -> object:
    """One string where a list is meant; texts have commas of their own."""
    return [value] if isinstance(value, str) else value


class Request(BaseModel):
    """What every request may say."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    model: str | None = Field(
        None, max_length=64, description="Model to ask, one of `GET /v1/models`; the service's first if unset."
    )
    user: str | None = Field(None, max_length=256, description="Taken for OpenAI's clients, and not used.")


class EmbeddingsRequest(Request):
    """The parameters of `POST /v1/embeddings`: OpenAI's, and `modality`. `services.clip.inputs` reads `input`."""

    input: Any = Field(
        None,
        description='A text, a data URI, {"text": …}, {"image": …}, or a list of these: 64 texts, 16 pictures.',
        json_schema_extra={"examples": [["a red circle", {"image": "data:image/png;base64,…"}]]},
    )
    modality: Literal["text", "image"] | None = Field(
        None, description="What plain strings are; data URIs of pictures are told by themselves if unset."
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="Numbers, or base64 of little-endian float32."
    )
    dimensions: int | None = Field(
        None, ge=1, description="Length of the vectors; only of models that were trained to be cut."
    )


class ClassifyRequest(Request):
    """The parameters of `POST /v1/classify`; Hugging Face's names for them are understood as well."""

    labels: Annotated[list[LabelName], BeforeValidator(_split)] | None = Field(
        None,
        validation_alias=AliasChoices("labels", "candidate_labels"),
        min_length=1,
        max_length=MAX_LABELS,
        description="Labels to choose from, comma-separated in a query.",
    )
    label_set: str | None = Field(
        None, max_length=64, description="A set of `GET /v1/label-sets`, in place of `labels`."
    )
    templates: Annotated[list[TemplateText], BeforeValidator(_listed)] | None = Field(
        None,
        validation_alias=AliasChoices("templates", "template", "hypothesis_template"),
        min_length=1,
        max_length=MAX_TEMPLATES,
        description="Sentences with {} for the label; averaged. The set's own, or `a photo of {}`, if unset.",
    )
    background: Annotated[list[LabelName], BeforeValidator(_listed)] | None = Field(
        None,
        min_length=1,
        max_length=MAX_TEMPLATES,
        description="What a picture shows that has none of the labels; `sigmoid` scores are measured against it.",
    )
    activation: Activation | None = Field(
        None,
        validation_alias=AliasChoices("activation", "function_to_apply"),
        description="`softmax`: a picture's scores sum to one. `sigmoid`: each label alone, against the background.",
    )
    threshold: float | None = Field(
        None, ge=0, le=1, description="Score from which any label is flagged; the set's own per label if unset."
    )
    top_k: int | None = Field(None, ge=1, le=MAX_LABELS, description="Most labels of one picture; all if unset.")
    format: Literal["native", "hf"] = Field("native", description="Shape of the answer: ours or Hugging Face's.")


class SimilarityRequest(Request):
    """The parameters of `POST /v1/similarity` beside its pictures."""

    texts: Annotated[list[Text], BeforeValidator(_listed)] = Field(
        validation_alias=AliasChoices("texts", "text"),
        min_length=1,
        max_length=MAX_TEXTS,
        description="Texts to compare with every picture; repeat the field in a query or a form.",
    )


class Answer(BaseModel):
    """What all answers share."""

    model_config = ConfigDict(frozen=True)

    model: str
    embedding_space: Space


class Usage(BaseModel):
    """What the request used."""

    prompt_tokens: int = Field(description="tokens of all texts")
    total_tokens: int


class PictureUsage(Usage):
    """What a request with pictures used."""

    images: int


class Embedding(BaseModel):
    """One vector of length one."""

    object: Literal["embedding"] = "embedding"
    index: int = Field(description="number of the input")
    embedding: list[float] | str


class Embeddings(Answer):
    """The vectors of all inputs, in their order."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    usage: Usage


class Scored(BaseModel):
    """A label as Hugging Face's zero-shot-image-classification task tells it."""

    score: float
    label: str


class ScoredLabel(Scored):
    """A label, its score, and whether that reaches the label's threshold."""

    threshold: float | None = None
    flagged: bool | None = None


class Classification(BaseModel):
    """The labels of one picture, the best first."""

    object: Literal["classification"] = "classification"
    index: int = Field(description="number of the picture")
    flagged: bool | None = Field(None, description="whether any label is, also beyond `top_k`; if any has a threshold")
    labels: list[ScoredLabel]


class Classifications(Answer):
    """The labels of all pictures, in their order."""

    id: str = Field(description="request id")
    object: Literal["list"] = "list"
    model_version: str
    label_set: str | None = None
    data: list[Classification]
    usage: PictureUsage


class Similarity(Answer):
    """How alike each text and each picture are."""

    id: str = Field(description="request id")
    object: Literal["similarity"] = "similarity"
    model_version: str
    similarity: list[list[float]] = Field(description="cosines: a row for each text, a column for each picture")
    logit_scale: float = Field(description="what the model multiplies cosines with before a softmax")
    usage: PictureUsage


class LabelSetLabel(BaseModel):
    """One label of a set, and the score from which it is flagged."""

    label: str
    threshold: float | None = None


class LabelSetEntry(BaseModel):
    """One named label set."""

    id: str
    object: Literal["label_set"] = "label_set"
    description: str
    activation: Activation
    templates: list[str]
    background: list[str]
    labels: list[LabelSetLabel]


class LabelSetList(BaseModel):
    """Every named label set."""

    object: Literal["list"] = "list"
    data: list[LabelSetEntry]
