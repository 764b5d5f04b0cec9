"""A small collector for tests: an HTTP server that takes OTLP as protobuf, and the spans that it got."""

import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Seen:
    """A span as it arrived; ids are hexadecimal."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]  # trace and span
    attributes: dict[str, Any]
    failed: bool
    start: int
    end: int


class Collecting:
    """A collector on a port of 127.0.0.1, while its block lasts."""

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.spans: list[Seen] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                assert self.path == "/v1/traces"
                body = self.rfile.read(int(self.headers["content-length"]))
                collector.spans += seen(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def of(self, trace: str, *, count: int, seconds: float = 10) -> list[Seen]:
        """The spans of a trace in the order of their beginning, once there are `count` of them."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            found = [span for span in list(self.spans) if span.trace == trace]
            if len(found) >= count:
                return sorted(found, key=lambda span: span.start)
            time.sleep(0.02)
        raise AssertionError(f"{count} spans of {trace} are not among {[(s.service, s.name) for s in self.spans]}")


def seen(request: ExportTraceServiceRequest) -> list[Seen]:
    """The spans of one delivery."""
    found = []
    for of_process in request.resource_spans:
        service = next(a.value.string_value for a in of_process.resource.attributes if a.key == "service.name")
        for span in (span for scope in of_process.scope_spans for span in scope.spans):
            found.append(
                Seen(
                    service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                    tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    {a.key: _value(a.value) for a in span.attributes},
                    span.status.code == 2, span.start_time_unix_nano, span.end_time_unix_nano,
                )
            )  # fmt: skip
    return found


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)
