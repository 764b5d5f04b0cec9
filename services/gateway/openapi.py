"""The services' own OpenAPI descriptions, joined into one: the public routes, with the key that they need."""

from collections.abc import Mapping
from typing import Any

import orjson

import shared
from services.gateway.routes import ROUTES

ABOUT = "Vision models as production microservices. Each route belongs to one service; the gateway stands before all."
BEARER = {"type": "http", "scheme": "bearer", "description": "An API key, as `ocelli keys create` prints it."}


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
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": BEARER}},
    }


def _add(paths: dict[str, dict[str, Any]], path: str, method: str, operation: dict[str, Any]) -> None:
    """Take an operation over if its route is public; of several services that have the same one, the first counts."""
    scope = next((r.scope for r in ROUTES if (r.method.lower(), r.path) == (method, path)), None)
    if scope is not None and method not in paths.get(path, {}):
        secured = operation | {"security": [{"key": []}], "x-scope": scope}
        paths.setdefault(path, {})[method] = secured


def _prefixed(document: dict[str, Any], service: str) -> dict[str, Any]:
    """`document`, whose schemas and the references to them carry the service's name."""
    here = b'"#/components/schemas/'
    renamed: dict[str, Any] = orjson.loads(orjson.dumps(document).replace(here, here + f"{service}.".encode()))
    components = renamed.get("components", {})
    components["schemas"] = {f"{service}.{name}": schema for name, schema in components.get("schemas", {}).items()}
    return renamed | {"components": components}
