"""Which public path leads where, as data: the one table for routing, keys, metrics and the API page.

A path is compared as a whole, exactly as it came: no decoding twice, no joining, never the Host header. The one open
end is a model's id, which is looked up among the ids that serve and never becomes part of a path as it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.errors import MethodNotAllowed, NotFound
from shared.serving.middleware import PROBE, Scope
from shared.serving.probes import PATHS

MODEL = "/v1/models/{model}"
LABELS = "/v1/models/{model}/labels"
MODEL_PREFIX, LABELS_SUFFIX = "/v1/models/", "/labels"


@dataclass(frozen=True, slots=True)
class Route:
    """One public method and path: the scope that a key needs (None: open), and the service (None: the gateway).

    `spoken` answers grow word by word, and have more time.
    """

    method: str
    path: str
    scope: str | None = None
    service: str | None = None
    spoken: bool = False


ROUTES = (
    Route("POST", "/v1/detect", scope="detect", service="detection"),
    Route("POST", "/v1/detect/open", scope="detect", service="owlvit"),
    Route("POST", "/v1/embeddings", scope="embed", service="clip"),
    Route("POST", "/v1/classify", scope="embed", service="clip"),
    Route("POST", "/v1/similarity", scope="embed", service="clip"),
    Route("GET", "/v1/label-sets", scope="embed", service="clip"),
    Route("POST", "/v1/chat/completions", scope="chat", service="llava", spoken=True),
    Route("POST", "/v1/tokenize", scope="chat", service="llava"),
    # What asks several services at once (/v1/analyze) belongs here: a route of the gateway's own, around the proxy.
    Route("GET", "/v1/models", scope="models"),
    Route("GET", MODEL, scope="models"),
    Route("GET", LABELS, scope="models"),
    Route("GET", "/openapi.json"),
    Route("GET", "/docs"),
    Route("GET", "/docs/docs.css"),
    Route("GET", "/docs/docs.js"),
    Route("GET", "/"),
)


def _index() -> Mapping[str, Mapping[str, Route]]:
    table: dict[str, dict[str, Route]] = {}
    for route in ROUTES:
        methods = table.setdefault(route.path, {})
        methods[route.method] = route
        if route.method == "GET":
            methods["HEAD"] = route  # the server drops the body of the answer
    return table


_TABLE = _index()


def match(method: str, path: str) -> tuple[Route, str]:
    """The route of a request, and the model's id in its path, if any. Raises `NotFound` and `MethodNotAllowed`."""
    pattern, model = _pattern(path)
    methods = _TABLE.get(pattern)
    if methods is None:
        raise NotFound("There is nothing at this path. GET /docs lists what there is.")
    route = methods.get(method)
    if route is None:
        raise MethodNotAllowed(f"This path takes {allowed(path)}.")
    return route, model


def allowed(path: str) -> str:
    """The methods that a path takes, as the `Allow` header says them; empty where there is no such path."""
    methods = _TABLE.get(_pattern(path)[0])
    return ", ".join([*methods, "OPTIONS"]) if methods else ""


def route_of(scope: Scope) -> str:
    """The declared path of the route that a request took; for metrics and logs."""
    route: Any = scope.get("route")
    if route is not None:
        return str(route.path)
    return PROBE if scope["path"] in PATHS else "unmatched"


def _pattern(path: str) -> tuple[str, str]:
    if path in _TABLE or not path.startswith(MODEL_PREFIX):
        return path, ""
    model = path[len(MODEL_PREFIX) :]
    if model.endswith(LABELS_SUFFIX) and model != LABELS_SUFFIX:
        return LABELS, model.removesuffix(LABELS_SUFFIX)
    return (MODEL, model) if model else ("", "")
