"""The services' own OpenAPI descriptions, joined into one: the public routes, with the key that they need."""

from collections.abc import Mapping
from typing import Any

import orjson

import shared
from services.gateway.routes import ROUTES
from shared.errors import BadUpstream, DeadlineExceeded, Forbidden, RateLimited, Unauthorized, Unavailable

ABOUT = "Vision models as production microservices. Each route belongs to one service; the gateway stands before all."
BEARER = {"type": "http", "scheme": "bearer", "description": "An API key, as `ocelli keys create` prints it."}
ORDER = tuple(dict.fromkeys(route.path for route in ROUTES))
UNUSED = "422"  # FastAPI describes it for every route, and no service answers with it
GATE = {
    str(kind.status): {"description": f"`{kind.default_code}`: {kind.default_message}"}
    for kind in (Unauthorized, Forbidden, RateLimited, BadUpstream, Unavailable, DeadlineExceeded)
}


def join(documents: Mapping[str, Any]) -> dict[str, Any]:
    """One OpenAPI document out of one per service. Schemas are named after their service, as two may share a name."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {}
    for document in (_prefixed(document, service) for service, document in documents.items()):
        for path, operations in document.get("paths", {}).items():
            for method, operation in operations.items():
                _add(paths, path, method, operation)
        schemas |= document.get("components", {}).get("schemas", {})
    return {
        "openapi": "3.1.0",
        "info": {"title": "Ocelli", "version": shared.__version__, "description": ABOUT},
        "paths": {path: paths[path] for path in ORDER if path in paths},
        "components": {"schemas": schemas, "securitySchemes": {"key": BEARER}},
    }


def _add(paths: dict[str, dict[str, Any]], path: str, method: str, operation: dict[str, Any]) -> None:
    """Take an operation over if its route is public; of several services that have the same one, the first counts."""
    scope = next((r.scope for r in ROUTES if (r.method.lower(), r.path) == (method, path)), None)
    if scope is None or method in paths.get(path, {}):
        return
    told = {status: told for status, told in operation.get("responses", {}).items() if status != UNUSED}
    secured = {"responses": dict(sorted((GATE | told).items())), "security": [{"key": []}], "x-scope": scope}
    paths.setdefault(path, {})[method] = operation | secured


def _prefixed(document: dict[str, Any], service: str) -> dict[str, Any]:
    """`document`, whose schemas and the references to them carry the service's name."""
    here = b'"#/components/schemas/'
    renamed: dict[str, Any] = orjson.loads(orjson.dumps(document).replace(here, here + f"{service}.".encode()))
    components = renamed.get("components", {})
    components["schemas"] = {f"{service}.{name}": schema for name, schema in components.get("schemas", {}).items()}
    return renamed | {"components": components}
