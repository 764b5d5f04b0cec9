"""The gateway as an ASGI application: which route, who may, and then the proxy or an answer of its own.

match -> 404, 405     gate -> 401, 403, 429     the quota on whatever is answered     forward | list | page
"""

import contextlib
from urllib.parse import quote

import orjson

from services.gateway.body import CallerLeft
from services.gateway.call import Call
from services.gateway.catalogue import Catalogue
from services.gateway.fleet import Fleet
from services.gateway.joined import Joined
from services.gateway.keyring import Keyring
from services.gateway.limits import Gate
from services.gateway.openapi import join
from services.gateway.probes import GatewayProbes
from services.gateway.routes import Route, allowed, match
from services.gateway.settings import GatewaySettings
from services.gateway.static import load_pages, respond
from shared.errors import MethodNotAllowed, OcelliError
from shared.serving.answers import Headers, send_error
from shared.serving.metrics import describe_build
from shared.serving.middleware import Message, Receive, Scope, Send

MODELS_S, OPENAPI_S = 2.0, 10.0  # how long what the services said is kept


class Labelled:
    """A way back to the caller on which every answer gets some more header fields."""

    __slots__ = ("_headers", "_send", "started")

    def __init__(self, send: Send, headers: Headers) -> None:
        self._send, self._headers = send, headers
        self.started = False

    async def __call__(self, message: Message) -> None:
        """Pass a part of the answer on."""
        if message["type"] == "http.response.start":
            self.started = True
            message["headers"] = [*message["headers"], *self._headers]
        await self._send(message)


class Gateway:
    """One public address in front of all services; starts and ends with its process."""

    def __init__(self, settings: GatewaySettings, keyring: Keyring) -> None:
        self.settings = settings
        self.fleet = Fleet(settings)
        self.gate = Gate(keyring, rate=settings.rate, wrong_keys=settings.wrong_keys)
        self.probes = GatewayProbes(services=self.fleet.states)
        self.pages = load_pages()
        self.catalogue = Catalogue(Joined(self.fleet, "/v1/models", seconds=MODELS_S))
        self.descriptions = Joined(self.fleet, "/openapi.json", seconds=OPENAPI_S)

    async def start(self) -> None:
        """Begin to look after the services."""
        await self.fleet.start()
        describe_build(self.settings.service, self.settings.revision)

    async def close(self) -> None:
        """Let go of the services."""
        await self.fleet.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request. What it raises before an answer has begun, the edge answers."""
        if scope["method"] == "OPTIONS" and (methods := allowed(scope["path"])):
            await respond(send, b"", headers=[(b"allow", methods.encode())], status=204)
            return
        try:
            scope["route"], model = match(scope["method"], scope["path"])
        except MethodNotAllowed as error:
            labelled = Labelled(send, [(b"allow", allowed(scope["path"]).encode())])
            await send_error(error, scope, labelled, close=scope["method"] != "GET")
            return
        if scope["route"].scope is None:
            await self._open(scope["route"], send)
            return
        with contextlib.suppress(CallerLeft):
            await self._keyed(model, Call(scope, receive, buffer_bytes=self.settings.buffer_bytes), scope, send)

    async def _open(self, route: Route, send: Send) -> None:
        """Answer on a route that needs no key."""
        if route.path == "/":
            await respond(send, b"", headers=[(b"location", b"/docs")], status=307)
        elif route.path == "/openapi.json":
            await _respond_json(send, join(await self.descriptions.documents()))
        else:
            await self.pages[route.path].respond(send)

    async def _keyed(self, model: str, call: Call, scope: Scope, send: Send) -> None:
        """Let the caller in, or not; then answer, with its quota on whatever the answer is."""
        try:
            quota = self.gate.admit(scope, scope["route"].scope)
        except OcelliError:
            await call.body.hold()  # who is cut off in the middle of a small upload may miss the answer
            raise
        if quota is None:
            await self._answer(model, call, scope, send)
            return
        labelled = Labelled(send, quota.headers)
        try:
            await call.body.hold()
            if quota.refusal is not None:
                raise quota.refusal
            await self._answer(model, call, scope, labelled)
        except OcelliError as error:
            if labelled.started:
                raise
            await send_error(error, scope, labelled, close=not call.body.complete)

    async def _answer(self, model: str, call: Call, scope: Scope, send: Send) -> None:
        route: Route = scope["route"]
        await call.body.hold()
        if route.path == "/v1/models":
            await _respond_json(send, await self.catalogue.list())
            return
        if route.service is None:
            upstream = await self.catalogue.upstream_of(model)
        else:
            upstream = self.fleet.upstreams[route.service]
        path = route.path.replace("{model}", quote(model, safe=""))
        deadline_s, patience_s = self.settings.times(spoken=route.spoken)
        call.prepare(scope, path, deadline_s=deadline_s, patience_s=patience_s)
        await self.fleet.proxy.forward(upstream, call, send)


async def _respond_json(send: Send, value: object) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-cache")]
    await respond(send, orjson.dumps(value), headers=headers)
