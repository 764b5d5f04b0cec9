"""OpenAPI for routes that read their own bodies: the three ways to send pictures, and the parameters of each."""

from typing import Any

from pydantic import BaseModel

PICTURE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, GIF, BMP or TIFF; first frame."}
BASE64 = {"type": "string", "description": "Base64 of the picture, plain or as a data URI."}


def json_request(schema: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes `schema` as JSON."""
    described = schema.model_json_schema()
    content = {"application/json": {"schema": _inlined(described, described.pop("$defs", {}))}}
    return {"requestBody": {"required": True, "content": content}}


def _inlined(value: Any, definitions: dict[str, Any]) -> Any:
    """`value` with its references resolved: FastAPI knows nothing of a body that it does not read."""
    if isinstance(value, list):
        return [_inlined(each, definitions) for each in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
    return {name: _inlined(each, definitions) for name, each in value.items()}


def picture_request(schema: type[BaseModel]) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes pictures and the parameters of `schema`."""
    fields = schema.model_json_schema(by_alias=False)["properties"]
    json_body = {"image": BASE64, "images": {"type": "array", "items": BASE64, "maxItems": 16}, **fields}
    form = {"image": {"type": "array", "items": PICTURE}, **fields}
    content = {
        "image/*": {"schema": PICTURE},
        "multipart/form-data": {"schema": {"type": "object", "properties": form}},
        "application/json": {"schema": {"type": "object", "properties": json_body}},
    }
    query = [
        {"name": name, "in": "query", "required": False, "description": field.get("description", ""), "schema": field}
        for name, field in fields.items()
    ]
    return {"requestBody": {"required": True, "content": content}, "parameters": query}
