"""Logs: one JSON object per line on standard output, with the request's id bound to every line of its life.

Fields only, never a picture, a prompt or a key. uvicorn's own lines pass through the same processors, so that a
process writes one kind of line. A line is escaped by the JSON encoder, which is what makes log injection harmless.
"""

import logging
import sys
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

import shared

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(service: str, *, level: str = "info", fmt: str = "json") -> None:
    """Send every log line of this process, our own and the libraries', to standard output as `fmt`."""
    finish = _finisher(service, structlog.dev.ConsoleRenderer(colors=False) if fmt == "text" else _json)
    structlog.configure(
        processors=[finish, _encode],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    _bridge_libraries(finish, LEVELS[level])


def _bridge_libraries(finish: Any, level: int) -> None:
    """Pass what libraries log through the standard module on in the same form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, finish]
        )
    )
    root = logging.getLogger()
    root.handlers, root.level = [handler], level
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = True
    logging.getLogger("uvicorn.error").setLevel(logging.ERROR)


def get(name: str) -> Any:
    """The logger of one module: `log.info("weights_taken", model=…, digest=…)`."""
    return structlog.get_logger(module=name)


def _encode(_: Any, __: str, line: Any) -> Any:
    return line.encode()


def _finisher(service: str, render: Any) -> Any:
    """The one processor: what every line carries, then its text. One, because each line of each request pays for it."""

    def finish(logger: Any, method: str, event: dict[str, Any]) -> str:
        level = method if method in LEVELS else {"exception": "error", "warn": "warning"}.get(method, "error")
        line: MutableMapping[str, Any] = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "level": level,
            "event": event.pop("event", ""),
            "service": service,
            "version": shared.__version__,
            **structlog.contextvars.get_contextvars(),
            **event,
        }
        if line.get("exc_info"):
            line = structlog.processors.format_exc_info(logger, method, line)
        text: str = render(logger, method, line)
        return text

    return finish


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()
