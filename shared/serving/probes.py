"""Probes and metrics: three questions that mean three different things, answered outside the users' queue.

/livez      does the event loop turn?                          no -> restart the process
/startupz   has the process finished loading?                  no -> wait
/readyz     will a request sent now be served?                 no -> send it elsewhere   (aliases /healthz, /health)
/metrics    the Prometheus exposition, on the management port only
/admin      what a process lets its operator do (`admin.py`), on the management port only
"""

import asyncio
import enum
from collections.abc import Callable, Mapping

import orjson
from prometheus_client import make_asgi_app

import shared
from shared.serving.metrics import READY
from shared.serving.middleware import Application, Receive, Scope, Send

PATHS = frozenset({"/livez", "/readyz", "/startupz", "/healthz", "/health"})
READINESS = frozenset({"/readyz", "/healthz", "/health"})


class Phase(enum.Enum):
    """Where a process is in its life; it only moves forward."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    LOST = "lost"


class Probes:
    """What a process tells about itself: its phase, and what else its readiness depends on."""

    def __init__(self, service: str, *, check: Callable[[], Mapping[str, str]] = dict) -> None:
        """`check` returns a state per dependency, `"ok"` where all is well; it must not block."""
        self.service = service
        self.check = check
        self.phase = Phase.STARTING
        self.admin: Application | None = None
        self.over = asyncio.Event()

    def reach(self, phase: Phase) -> None:
        """Move on to `phase`. A process that is lost or draining never serves again."""
        if self.phase in (Phase.STARTING, Phase.SERVING):
            self.phase = phase
        READY.set(self.ready)

    @property
    def ready(self) -> bool:
        """Whether a request sent now would be served."""
        return self.phase is Phase.SERVING and all(state == "ok" for state in self.check().values())

    @property
    def draining(self) -> bool:
        """Whether this process is on its way out."""
        return self.phase in (Phase.DRAINING, Phase.LOST)

    def answer(self, path: str, *, verbose: bool = False) -> tuple[int, bytes]:
        """Status and JSON body for a probe's path."""
        passed = {"/livez": True, "/startupz": self.phase is not Phase.STARTING}.get(path)
        passed = self.ready if passed is None else passed
        body: dict[str, object] = {"status": "ok" if passed else self._reason(path), "service": self.service}
        if verbose or path in {"/healthz", "/health"}:
            body |= {"phase": self.phase.value, "version": shared.__version__, "checks": dict(self.check())}
        return (200 if passed else 503), orjson.dumps(body)

    def _reason(self, path: str) -> str:
        if path in READINESS and self.phase is Phase.SERVING:
            return "not ready"
        return self.phase.value

    def before(self, app: Application) -> Application:
        """An application that answers the probes' paths itself and hands all others to `app`."""

        async def dispatch(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and scope["path"] in PATHS:
                await self._respond(scope, send)
            else:
                await app(scope, receive, send)

        return dispatch

    def management(self) -> Application:
        """The application of the management port: the probes, `/metrics`, `/version`, and `/admin` if there is one."""
        exposition: Application = make_asgi_app()

        async def others(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                return
            if scope["path"] == "/metrics":
                READY.set(self.ready)
                await exposition(scope, receive, send)
            elif scope["path"].startswith("/admin/") and self.admin is not None:
                await self.admin(scope, receive, send)
            elif scope["path"] == "/version":
                await _send_json(send, 200, orjson.dumps({"service": self.service, "version": shared.__version__}))
            else:
                await _send_json(send, 404, orjson.dumps({"paths": [*sorted(PATHS), "/metrics", "/version"]}))

        return self.before(others)

    async def _respond(self, scope: Scope, send: Send) -> None:
        status, body = self.answer(scope["path"], verbose=b"verbose" in scope["query_string"])
        await _send_json(send, status, body)


async def _send_json(send: Send, status: int, body: bytes) -> None:
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
