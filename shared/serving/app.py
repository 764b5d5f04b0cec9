"""The FastAPI application of a model service: its own routes, `/v1/models`, and one handler for all errors."""

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

import shared
from shared.errors import InvalidRequest, MethodNotAllowed, NotFound, OcelliError
from shared.serving.answers import error_answer
from shared.serving.engine import Answer
from shared.serving.metrics import STAGE_SECONDS
from shared.serving.middleware import PROBE, Scope
from shared.serving.model import Identity
from shared.serving.probes import PATHS
from shared.serving.process import serve
from shared.serving.service import Service
from shared.serving.stream import Stream
from shared.serving.validation import invalid

DEADLINE = b"x-request-deadline-ms"


def run(service: Service, *routers: APIRouter, title: str) -> None:
    """Run a model service until it is told to stop; exits the process."""
    app = create_app(service, *routers, title=title)
    serve(service.settings, app, life=service, probes=service.probes, route_of=route_of)


def create_app(service: Service, *routers: APIRouter, title: str) -> FastAPI:
    """The application around `routers`."""
    app = FastAPI(
        title=title,
        version=shared.__version__,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda r: r.name,
        # Off for good: its spans would tell query, path and Host as callers write them; the edge makes its own.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.service = service
    # Not include_router, which wraps each route into two more layers that a request pays for.
    app.router.routes.extend(route for router in (*routers, catalogue) for route in router.routes)
    handlers: Mapping[Any, Any] = {
        OcelliError: _on_error,
        RequestValidationError: _on_validation,
        HTTPException: _on_http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    return app


def route_of(scope: Scope) -> str:
    """The declared path of the route that answered, `unmatched` where none did."""
    return getattr(scope.get("route"), "path", None) or (PROBE if scope["path"] in PATHS else "unmatched")


class DirectRoute(APIRoute):
    """A route whose endpoint takes the request and returns a response: FastAPI documents it and no more."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself, without the solving of dependencies and the serialising that it does not use."""
        endpoint: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return endpoint


def service_of(request: Request) -> Service:
    """The service that a request came to."""
    service: Service = request.app.state.service
    return service


catalogue = APIRouter(tags=["models"])


@catalogue.get("/v1/models", summary="List the models that serve")
async def list_models(request: Request) -> dict[str, Any]:
    """Every served model with its version, the digest of its weights, and what it can do."""
    service = service_of(request)
    return {"object": "list", "data": [service.describe(name) for name in service.references]}


@catalogue.get("/v1/models/{model}", summary="Describe one model")
async def get_model(model: str, request: Request) -> dict[str, Any]:
    """The version, the weights' digest and the capabilities of one model."""
    service = service_of(request)
    return dict(service.describe(service.pick(model)))


def deadline_of(request: Request, service: Service) -> float:
    """When this request must be answered, on `time.monotonic()`: the caller's wish, within the service's limit."""
    value = dict(request.scope["headers"]).get(DEADLINE)
    if value is None:
        return time.monotonic() + service.settings.deadline_s
    if not value.isdigit() or len(value) > 9 or int(value) == 0:
        raise InvalidRequest("'X-Request-Deadline-Ms' must be a whole number of milliseconds.", param=DEADLINE.decode())
    return time.monotonic() + min(int(value) / 1000, service.settings.deadline_s)


def answer_headers(answers: Sequence[Answer]) -> dict[str, str]:
    """Which weights answered, and how long each stage of the slowest item took. Asked for when the body is ready."""
    slowest = max(answers, key=lambda a: sum(a.stages.values()))
    STAGE_SECONDS.labels(slowest.identity.model, "postprocess").observe(time.monotonic() - slowest.finished)
    return _origin(slowest.identity, slowest.stages)


def stream_headers(stream: Stream) -> dict[str, str]:
    """Which weights answer, and how long the first piece of the answer took."""
    return _origin(stream.identity, stream.stages)


def _origin(identity: Identity, stages: Mapping[str, float]) -> dict[str, str]:
    return {
        "x-model-version": identity.version,
        "x-weights-digest": identity.digest,
        "server-timing": ", ".join(f"{name};dur={seconds * 1000:.2f}" for name, seconds in stages.items()),
    }


def responses(answer: Any, *kinds: type[OcelliError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI descriptions of the answer of a route, and of the errors that it may give instead."""
    described: dict[int | str, dict[str, Any]] = {200: {"model": answer, "description": "The answer."}}
    for kind in kinds:
        described[kind.status] = {"description": f"`{kind.default_code}`: {kind.default_message}"}
    return described


async def _on_error(request: Request, error: OcelliError) -> Response:
    status, headers, body = error_answer(error, request.scope)
    response = Response(body, status)
    response.raw_headers = headers
    return response


async def _on_validation(request: Request, error: RequestValidationError) -> Response:
    return await _on_error(request, invalid(error.errors(), skip=1))


async def _on_http(request: Request, error: HTTPException) -> Response:
    known = {404: NotFound, 405: MethodNotAllowed}
    return await _on_error(request, known.get(error.status_code, InvalidRequest)())
