"""OpenAPI for routes that read their own bodies: the three ways to send pictures, and the parameters of each."""

from typing import Any

from pydantic import BaseModel

PICTURE = {"type": "string", "format": "binary", "description": "JPEG, PNG, WebP, GIF, BMP or TIFF; first frame."}
BASE64 = {"type": "string", "description": "Base64 of the picture, plain or as a data URI."}


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
