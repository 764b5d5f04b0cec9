"""OpenAPI for `POST /v1/embeddings`: OpenAI's JSON, or pictures as the body or as parts of a form."""

from typing import Any

from services.clip.schemas import EmbeddingsRequest
from shared.serving.documentation import picture_request


def embeddings_request() -> dict[str, Any]:
    """The `openapi_extra` of the route."""
    described = picture_request(EmbeddingsRequest)
    fields = EmbeddingsRequest.model_json_schema()["properties"]
    content = described["requestBody"]["content"]
    content["application/json"] = {"schema": {"type": "object", "properties": fields, "required": ["input"]}}
    del content["multipart/form-data"]["schema"]["properties"]["input"]
    described["parameters"] = [one for one in described["parameters"] if one["name"] != "input"]
    return described
