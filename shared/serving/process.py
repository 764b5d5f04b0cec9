"""One process: a data port, a management port, and an end in a written order.

bind both ports -> answer probes -> life.start() -> serving
SIGTERM -> readiness off -> go on serving for drain_delay_s -> stop listening, finish what runs (drain_s)
        -> life.close() -> management port last -> exit 0
lost device -> readiness off -> the same order, without the delay -> exit 70
"""

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Protocol

import uvicorn

from shared import logs, tracing
from shared.serving.middleware import Application, Edge, Scope
from shared.serving.probes import Phase, Probes
from shared.serving.protocol import GuardedProtocol
from shared.settings import ProcessSettings, stop

EXIT_LOST = 70  # EX_SOFTWARE of sysexits(3): the supervisor must start the process anew
KEEP_ALIVE_S = 75  # longer than any client's pool keeps a connection, so that the client is the one who closes it

log = logs.get(__name__)


class Life(Protocol):
    """What a process does besides answering HTTP."""

    async def start(self) -> None:
        """Get ready to serve; an error stops the process."""

    async def close(self) -> None:
        """Let go of everything; no request runs any more."""


def serve(
    settings: ProcessSettings, app: Application, *, life: Life, probes: Probes, route_of: Callable[[Scope], str]
) -> None:
    """Run `app` until SIGTERM or SIGINT, and exit with a code that says how it ended."""
    logs.configure(settings.service, level=settings.log_level, fmt=settings.log_format)
    with tracing.opened(
        settings.traces, service=settings.service, ratio=settings.traces_ratio, trusting=settings.trusting
    ) as tracer:
        edge = Edge(
            probes.before(app), limits=settings.limits, route_of=route_of, draining=lambda: probes.draining,
            tracer=tracer,
        )  # fmt: skip
        loop_factory = uvicorn.Config(edge, loop="auto", log_config=None).get_loop_factory()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            code = runner.run(Process(settings, edge, life, probes).run())
    raise SystemExit(code)


class Process:
    """The two servers of a process, and the order in which they start and end."""

    def __init__(self, settings: ProcessSettings, app: Application, life: Life, probes: Probes) -> None:
        self.settings, self.life, self.probes = settings, life, probes
        protocol = functools.partial(GuardedProtocol, limits=settings.limits)
        self.data = QuietServer(_config(app, protocol, settings.drain_s))
        self.management = QuietServer(_config(probes.management(), protocol, 1))

    async def run(self) -> int:
        """Serve until the end; returns the exit code."""
        data_socket = _bind(self.settings.host, self.settings.port, "OCELLI_PORT")
        management_socket = _bind(self.settings.management_host, self.settings.management, "OCELLI_MANAGEMENT_PORT")
        self._catch_signals()
        servers = [
            asyncio.create_task(self.data.serve([data_socket])),
            asyncio.create_task(self.management.serve([management_socket])),
        ]
        log.info("listening", port=data_socket.getsockname()[1], management_port=management_socket.getsockname()[1])
        try:
            return await self._live(servers)
        except Exception as error:  # noqa: BLE001 -- a job's top level: say why, and exit non-zero
            log.error("cannot_start", reason=str(error), kind=type(error).__name__)  # noqa: TRY400
            return 1

    async def _live(self, servers: list[asyncio.Task[None]]) -> int:
        over = asyncio.create_task(self.probes.over.wait())
        starting = asyncio.create_task(self.life.start())
        await asyncio.wait([starting, over], return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            self.probes.reach(Phase.SERVING)
            if self.probes.phase is Phase.SERVING:
                log.info("ready")
            await over
        else:
            starting.cancel()
        await self._drain(servers)
        return EXIT_LOST if self.probes.phase is Phase.LOST else 0

    async def _drain(self, servers: list[asyncio.Task[None]]) -> None:
        lost = self.probes.phase is Phase.LOST
        log.info("draining", requests=len(self.data.server_state.tasks), lost=lost)
        await asyncio.sleep(0 if lost else self.settings.drain_delay_s)
        self.data.should_exit = True
        await servers[0]
        await self.life.close()
        self.management.should_exit = True
        await servers[1]
        log.info("stopped")

    def _catch_signals(self) -> None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, self._end)

    def _end(self) -> None:
        self.probes.reach(Phase.DRAINING)
        self.probes.over.set()


class QuietServer(uvicorn.Server):
    """uvicorn's server, whose signals are the process's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _config(app: Application, protocol: Callable[..., GuardedProtocol], grace: float) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,
        log_config=None,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(grace) or 1,
    )


def _bind(host: str, port: int, variable: str) -> socket.socket:
    """A listening address, or an exit with a sentence that says what to set."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError:
        bound.close()
        stop(f"{host}:{port} cannot be used: it is taken, or no address of this machine. Set {variable}.")
    return bound
