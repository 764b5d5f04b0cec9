"""The admin surface: the two phases of a push, for whoever has the key. On the management port alone.

GET  /admin/weights                     what serves, what is warm, what is prepared, what was refused
POST /admin/weights/{model}/prepare     {"version": "v2"}       read, prove and keep ready
POST /admin/weights/{model}/commit      {"digest": "sha256:…"}  serve what is prepared ("keep": and this digest beside)
POST /admin/weights/{model}/abort       {"digest": "sha256:…"}  let go of it
POST /admin/weights/{model}/rollback    {"digest": "sha256:…"}  serve the weights before, which are warm
POST /admin/weights/{model}/retire      {"digest": "sha256:…"}  let go of what serves beside, in its own space

key -> path -> body within 4 KB -> names -> Swaps -> the state of the model. Versions come from the store by their
names: never a path, a URL or bytes.
"""

import asyncio
import hmac
import re
import time
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict, Field

from shared import strict_json
from shared.errors import (
    InvalidRequest,
    MethodNotAllowed,
    ModelNotFound,
    NotFound,
    OcelliError,
    Unauthorized,
    Unavailable,
)
from shared.serving.middleware import Application, Edge, Receive, Scope, Send
from shared.serving.model import RefusedWeights, Weights
from shared.serving.swap import Swaps
from shared.serving.validation import parse
from shared.settings import ServiceSettings
from shared.weights.errors import BadName, NotInStore, StoreError
from shared.weights.names import check

BODY_BYTES = 4096
OVERVIEW = "/admin/weights"
CHANGE = re.compile(r"/admin/weights/([^/]*)/(prepare|commit|abort|rollback|retire)")


Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


class _Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: str = Field("", max_length=200, description="who wants it, for the log")


class PrepareOrder(_Order):
    """Get a version ready."""

    version: str = Field(max_length=64)


class SwapOrder(_Order):
    """Do something with the weights of a digest."""

    digest: Digest


class CommitOrder(SwapOrder):
    """Serve what is prepared."""

    keep: Digest | None = Field(None, description="what serves beside from now on, for its embedding space")


def admin(swaps: Swaps, settings: ServiceSettings, key: Callable[[], str | None]) -> Application:
    """The application under `/admin`; `key` is asked at each order, and where it gives none there is nothing."""
    limits = settings.limits.model_copy(update={"body_bytes": BODY_BYTES})
    return Edge(Admin(swaps, settings.service, key), limits=limits, route_of=_route)


class Admin:
    """What an operator may do with the weights of one process."""

    def __init__(self, swaps: Swaps, service: str, key: Callable[[], str | None]) -> None:
        self._swaps, self._service, self._key = swaps, service, key

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; errors go to the edge around it."""
        self._let_in(dict(scope["headers"]), await asyncio.to_thread(self._key))
        if scope["path"] == OVERVIEW:
            _expect(scope, "GET")
            return await _answer(send, self._overview())
        change = CHANGE.fullmatch(scope["path"])
        if change is None:
            raise NotFound
        _expect(scope, "POST")
        model, action = change.groups()
        try:
            await self._change(self._known(model), action, await _body(receive))
        except OcelliError:
            raise
        except (RefusedWeights, StoreError, OSError) as error:
            raise _translated(error) from error
        await _answer(send, self._state(model))

    @staticmethod
    def _let_in(headers: dict[bytes, bytes], key: str | None) -> None:
        if key is None:
            raise NotFound
        scheme, _, offered = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(offered.strip(), key.encode()):
            raise Unauthorized(
                "This is not the admin key. Send it as 'Authorization: Bearer <key>'; it is in the file admin.key of "
                "the service's state, or where OCELLI_ADMIN_KEY_FILE says."
            )

    def _known(self, model: str) -> str:
        try:
            check(model, "model")
        except BadName as error:
            raise InvalidRequest(str(error), param="model") from error
        if model not in self._swaps.references:
            raise ModelNotFound(f"No such model here. Served are: {', '.join(self._swaps.references)}.", param="model")
        return model

    async def _change(self, model: str, action: str, fields: dict[str, Any]) -> None:
        if action == "prepare":
            wanted = parse(PrepareOrder, fields, strict=True)
            await self._swaps.prepare(model, wanted.version, by=wanted.by)
            return
        if action == "commit":
            chosen = parse(CommitOrder, fields, strict=True)
            self._swaps.commit(model, chosen.digest, by=chosen.by, keep=chosen.keep)
            return
        order = parse(SwapOrder, fields, strict=True)
        do = {"abort": self._swaps.abort, "rollback": self._swaps.roll_back, "retire": self._swaps.retire}[action]
        do(model, order.digest, by=order.by)

    def _overview(self) -> dict[str, Any]:
        return {"service": self._service, "models": [self._state(name) for name in self._swaps.references]}

    def _state(self, name: str) -> dict[str, Any]:
        swaps, lane = self._swaps, self._swaps.engine.lanes[name]
        prepared = swaps.prepared if swaps.prepared and swaps.prepared.weights.identity.model == name else None
        waits = prepared and {"by": prepared.by, "expires_in_s": round(prepared.until - time.monotonic(), 1)}
        return {
            "model": name,
            "follows": "champion" if swaps.follows(name) else None,
            "serving": lane.weights and {**_told(lane.weights), "since": round(lane.since, 3)},
            "previous": lane.previous and _told(lane.previous),
            "kept": lane.beside and _told(lane.beside),
            "prepared": prepared and {**_told(prepared.weights), **(waits or {})},
            "refused": swaps.refused[name],
        }


def _told(weights: Weights) -> dict[str, Any]:
    space = weights.model.space
    told = {"version": weights.identity.version, "digest": weights.identity.digest}
    return {**told, "embedding_space": space} if space else told


def _expect(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise MethodNotAllowed(f"This path takes {method} alone.")


async def _body(receive: Receive) -> dict[str, Any]:
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    fields = strict_json.loads(body, depth=2)
    if not isinstance(fields, dict):
        raise InvalidRequest("The JSON body must be an object.")
    return fields


async def _answer(send: Send, fields: dict[str, Any]) -> None:
    body = orjson.dumps(fields)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _translated(error: Exception) -> OcelliError:
    """What went wrong with a version, for whoever asked for it."""
    if isinstance(error, RefusedWeights):
        return InvalidRequest(str(error), code="weights_refused", param="version")
    if isinstance(error, BadName):
        return InvalidRequest(str(error), param="version")
    if isinstance(error, NotInStore):
        return NotFound(str(error), code="version_not_found", param="version")
    return Unavailable("The weights store cannot be read now. Retry later.", code="store_unavailable", retry_after=5)


def _route(scope: Scope) -> str:
    """The declared path, for metrics and the log."""
    change = CHANGE.fullmatch(scope["path"])
    return OVERVIEW if scope["path"] == OVERVIEW else f"{OVERVIEW}/{{model}}/{change[2]}" if change else "unmatched"
