"""The wire contract of chat: what a request may say. The fields are OpenAI's, but for those that say `Extension`.

`services.llava.reading` reads what concerns several fields, `services.llava.messages` the content of messages, and
`services.llava.completion` has the answers.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

MAX_MESSAGES, MAX_PICTURES = 128, 4
MAX_TEXT_BYTES = 65_536  # of all messages together
MAX_ANSWERS, MAX_BIASES, MAX_ALTERNATIVES = 4, 300, 20
MAX_STOPS, MAX_STOP = 4, 64

TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
}
IMAGE_PART = {
    "type": "object",
    "properties": {
        "type": {"const": "image_url"},
        "image_url": {
            "type": "object",
            "properties": {
                "url": {"type": "string", "description": "A data URI, or base64; no address is fetched."},
                "detail": {"enum": ["auto", "low", "high", "original"], "description": "Not used."},
            },
            "required": ["url"],
        },
    },
    "required": ["type", "image_url"],
}
PARTS = {"type": "array", "items": {"anyOf": [TEXT_PART, IMAGE_PART]}, "minItems": 1}
CONTENT = {
    "anyOf": [{"type": "string"}, PARTS],
    "description": f"Text, or parts; pictures only in a user's message, {MAX_PICTURES} in all.",
}

Unused = Annotated[Any, Field(description="Taken for OpenAI's clients, and not used.")]
Refused = Annotated[Any, Field(description="Refused unless it asks for nothing: this model reads and writes text.")]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]
StopText = Annotated[str, Field(min_length=1, max_length=MAX_STOP)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Wire(BaseModel):
    """What all parts of a request share: null is as good as unset, as OpenAI's clients send it."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, fields: Any) -> Any:
        if not isinstance(fields, dict):
            return fields
        return {name: value for name, value in fields.items() if value is not None or name not in cls.model_fields}


class ChatMessage(Wire):
    """One turn as it is sent."""

    role: Literal["system", "developer", "user", "assistant"] = Field(description="`developer` means `system`.")
    content: Annotated[Any, WithJsonSchema(CONTENT)] = None
    name: Unused = None
    refusal: Unused = None
    annotations: Unused = None
    tool_calls: Refused = None
    function_call: Refused = None
    audio: Refused = None


class StreamOptions(Wire):
    """What a stream tells beside the text."""

    include_usage: bool = Field(False, description="A last chunk that counts the tokens.")
    include_obfuscation: Unused = None


class JsonSchema(Wire):
    """A JSON schema that the answer must fit."""

    name: str = Field("answer", pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str | None = Field(None, max_length=4096, description="Not used.")
    definition: dict[str, Any] = Field(alias="schema", description="The schema itself.")
    strict: bool = Field(True, description="The answer always fits the schema, whatever this says.")


class ResponseFormat(Wire):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = Field(None, description="Required by, and only for, type `json_schema`.")


class ChatRequest(Wire):
    """The body of `POST /v1/chat/completions`."""

    messages: list[ChatMessage] = Field(min_length=1, max_length=MAX_MESSAGES)
    model: str | None = Field(
        None, max_length=64, description="Model to ask, one of `GET /v1/models`; the service's first if unset."
    )
    max_completion_tokens: int | None = Field(
        None, ge=1, description="Most tokens of an answer, within the service's own limit."
    )
    max_tokens: int | None = Field(None, ge=1, description="The older name of `max_completion_tokens`.")
    temperature: float | None = Field(
        None, ge=0, le=2, description="0: always the likeliest token. The model's own if unset, or 1."
    )
    top_p: float = Field(1, ge=0, le=1, description="Draw from the likeliest tokens that have this share together.")
    top_k: int = Field(0, ge=0, le=2**31, description="Extension: draw from so many likeliest tokens; 0 for all.")
    repetition_penalty: float = Field(1, gt=0, le=2, description="Extension: over 1 makes what was said less likely.")
    frequency_penalty: Penalty = 0
    presence_penalty: Penalty = 0
    seed: int | None = Field(None, ge=-(2**63), lt=2**63, description="The same seed gives the same answer again.")
    stop: Annotated[list[StopText], BeforeValidator(_listed)] = Field(
        default=[], max_length=MAX_STOPS, description="Texts that end the answer and are not told."
    )
    n: int = Field(1, ge=1, le=MAX_ANSWERS, description="How many answers.")
    stream: bool = False
    stream_options: StreamOptions | None = None
    logprobs: bool = Field(False, description="Tell the log-probability of each token.")
    top_logprobs: int | None = Field(None, ge=0, le=MAX_ALTERNATIVES, description="And those of so many others.")
    logit_bias: dict[str, Bias] = Field(
        default={}, max_length=MAX_BIASES, description="Added to a token's logit, by the token's number."
    )
    response_format: ResponseFormat | None = None
    cache_salt: str = Field(
        "", max_length=128, description="Extension: what is remembered of this prompt serves only this salt."
    )
    user: Unused = None
    metadata: Unused = None
    store: Unused = None
    service_tier: Unused = None
    safety_identifier: Unused = None
    prompt_cache_key: Unused = None
    prompt_cache_options: Unused = None
    prompt_cache_retention: Unused = None
    parallel_tool_calls: Unused = None
    reasoning_effort: Unused = None
    verbosity: Unused = None
    modalities: Refused = None
    tools: Refused = None
    tool_choice: Refused = None
    functions: Refused = None
    function_call: Refused = None
    audio: Refused = None
    prediction: Refused = None
    web_search_options: Refused = None
    moderation: Refused = None


class TokenizeRequest(Wire):
    """The body of `POST /v1/tokenize`: a conversation, or a text as it is."""

    model: str | None = Field(None, max_length=64, description="Whose tokens; the service's first model if unset.")
    messages: list[ChatMessage] | None = Field(None, min_length=1, max_length=MAX_MESSAGES)
    prompt: str | None = None
    return_token_strs: bool = Field(False, description="Tell the text of each token as well.")
