"""Logs: one JSON object per line on standard output, with the request's id bound to every line of its life.

Fields only, never a picture, a prompt or a key. uvicorn's own lines pass through the same processors, so that a
process writes one kind of line. A line is escaped by the JSON encoder, which is what makes log injection harmless.
"""

import logging
import sys
from typing import Any

import orjson
import structlog

import shared

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(service: str, *, level: str = "info", fmt: str = "json") -> None:
    """Send every log line of this process, our own and the libraries', to standard output as `fmt`."""
    common: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        structlog.processors.format_exc_info,
        _stamp(service),
    ]
    final: Any = structlog.dev.ConsoleRenderer(colors=False) if fmt == "text" else _json
    structlog.configure(
        processors=[*common, final, _encode],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
        cache_logger_on_first_use=True,
    )
    _bridge_libraries(common, final, LEVELS[level])


def _bridge_libraries(common: list[Any], final: Any, level: int) -> None:
    """Pass what libraries log through the standard module on in the same form."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, final], foreign_pre_chain=common
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


def _stamp(service: str) -> Any:
    def stamp(_: Any, __: str, event: dict[str, Any]) -> dict[str, Any]:
        event.setdefault("service", service)
        event.setdefault("version", shared.__version__)
        return event

    return stamp


def _json(_: Any, __: str, event: dict[str, Any]) -> str:
    return orjson.dumps(event, default=str).decode()
