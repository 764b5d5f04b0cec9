"""Reading an embeddings request, in which pictures may be the body, parts of a form, or items among texts in JSON."""

from typing import Any

from fastapi import Request

from services.clip.inputs import read_inputs
from services.clip.items import Item
from services.clip.schemas import EmbeddingsRequest
from shared import strict_json
from shared.errors import InvalidRequest
from shared.serving.reading import INLINE_BYTES, read_request
from shared.serving.service import Service
from shared.serving.validation import parse
from shared.settings import Limits


async def read_embeddings(request: Request, service: Service) -> tuple[list[Item], EmbeddingsRequest]:
    """The items to embed and the parameters. Raises the 4xx errors of both."""
    if not request.headers.get("content-type", "").lower().startswith("application/json"):
        upload, wish = await read_request(request, service, EmbeddingsRequest)
        if wish.input is not None:
            raise InvalidRequest("Send pictures alone, or mix texts and pictures as 'input' in JSON.", param="input")
        pairs = zip(upload.images, upload.image_fields, strict=True)
        return [Item(None, data, field) for data, field in pairs], wish
    if request.scope["query_string"]:
        raise InvalidRequest("Parameters beside a JSON body belong into it. Send no query.", param="query")
    body, limits = await request.body(), service.settings.limits
    if len(body) <= INLINE_BYTES:
        return _from_json(body, limits)
    return await service.running.pool.run(_from_json, body, limits)


def _from_json(body: bytes, limits: Limits) -> tuple[list[Item], EmbeddingsRequest]:
    fields: Any = strict_json.loads(body, depth=limits.json_depth)
    if not isinstance(fields, dict):
        raise InvalidRequest('The JSON body must be an object, like {"input": "a text"}.')
    wish = parse(EmbeddingsRequest, fields, strict=True)
    return read_inputs(wish.input, wish.modality, limits), wish
