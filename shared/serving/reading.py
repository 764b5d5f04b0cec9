"""Reading a request that carries pictures: its body off the event loop where it is long, its parameters from anywhere.

body -> pictures and fields (raw, multipart, JSON);  query + fields (+ Hugging Face's `parameters`) -> the schema
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel

from shared import strict_json
from shared.errors import InvalidRequest, UnsupportedMedia
from shared.images.upload import Upload, read_upload
from shared.serving.service import Service
from shared.serving.validation import parse

M = TypeVar("M", bound=BaseModel)
INLINE_BYTES = 65_536  # a body up to this size is taken apart at once; a longer one would stall the other requests


async def read_request(
    request: Request, service: Service, schema: type[M], *, binary: Collection[str] = ()
) -> tuple[Upload, M]:
    """The pictures of a request, and its parameters as `schema`; see `read_upload` for `binary`.

    Raises the 4xx errors of both.
    """
    body = await _body(request)
    content_type = request.headers.get("content-type", "")
    read = partial(read_upload, content_type, body, service.settings.limits, binary=binary)
    raw = content_type.startswith(("image/", "application/octet-stream"))
    if raw or len(body) <= INLINE_BYTES:
        upload = read()
    else:
        upload = await service.running.pool.run(read)
    query = _query(request) if request.scope["query_string"] else {}
    typed = content_type.startswith("application/json") and not query
    return upload, parse(schema, _merge(query, upload.fields), strict=typed)


async def read_json(request: Request, service: Service, schema: type[M]) -> M:
    """A request that is JSON alone, as `schema`. Raises the 4xx errors of both."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        raise UnsupportedMedia("The Content-Type must be application/json.")
    if request.scope["query_string"]:
        raise InvalidRequest("Parameters beside a JSON body belong into it. Send no query.", param="query")
    body, depth = await _body(request), service.settings.limits.json_depth
    if len(body) <= INLINE_BYTES:
        return _parsed(schema, body, depth)
    return await service.running.pool.run(_parsed, schema, body, depth)


def _parsed(schema: type[M], body: bytes, depth: int) -> M:
    fields: Any = strict_json.loads(body, depth=depth)
    if not isinstance(fields, dict):
        raise InvalidRequest("The JSON body must be an object.")
    return parse(schema, fields, strict=True)


async def _body(request: Request) -> bytes:
    """The whole body; where it came in one piece, as most do, that piece itself and no copy."""
    message = await request.receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        return body
    pieces = [body]
    while message.get("more_body"):
        message = await request.receive()
        pieces.append(message.get("body", b""))
    return b"".join(pieces)


def _query(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in request.query_params.multi_items():
        if name in values:
            values[name] = [*_listed(values[name]), value]
        else:
            values[name] = value
    return values


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _merge(query: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    fields = dict(fields)
    parameters = fields.pop("parameters", None) or {}
    if not isinstance(parameters, dict):
        raise InvalidRequest("'parameters' must be an object.", param="parameters")
    merged: dict[str, Any] = {}
    for source in (query, fields, parameters):
        for name, value in source.items():
            if name in merged:
                raise InvalidRequest(f"'{name[:64]}' is given more than once.", param=name[:64])
            merged[name] = value
    return merged
