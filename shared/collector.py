"""The way to the collector: which traces are kept, and how they leave the process without anybody waiting for it.

span ends -> queue (bounded; what does not fit is dropped) -> a thread -> OTLP over HTTP -> collector
A collector that is away costs no request anything, and two log lines: when it is lost, and when it is back.
What OpenTelemetry reads from OTEL_… variables (headers, resource, sizes of batches) keeps its meaning.
"""

import logging
import os
import random
import socket
import threading
from collections.abc import Sequence

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.util.types import Attributes

import shared
from shared import logs
from shared.spans import Tracer

FLUSH_S = 3.0  # the longest time that the end of a process waits for the collector

log = logs.get(__name__)


class Collector:
    """A tracer whose spans are sent to one address."""

    def __init__(self, endpoint: str, *, service: str, ratio: float, trusting: bool) -> None:
        """`endpoint` is `http://host:4318`; the path of OTLP is added where there is none."""
        # The exporter would log every failure of its own, and the API what callers write into `tracestate`.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        exporter = Announcing(OTLPSpanExporter(endpoint=_with_path(endpoint)), endpoint)
        self._provider = provider(service, Lot(ratio, trusting=trusting))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = Tracer(self._provider.get_tracer("ocelli", shared.__version__))

    def close(self) -> None:
        """Send what is left, for `FLUSH_S` at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(FLUSH_S)


class Announcing(SpanExporter):
    """An exporter that says once that the collector cannot be reached, and once that it can again."""

    def __init__(self, exporter: SpanExporter, endpoint: str) -> None:
        self._exporter, self._endpoint = exporter, endpoint
        self._reached = True

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send `spans`; they are lost where that fails."""
        result = self._exporter.export(spans)
        reached = result is SpanExportResult.SUCCESS
        if reached != self._reached:
            self._reached = reached
            (log.info if reached else log.warning)("traces_sent" if reached else "traces_lost", endpoint=self._endpoint)
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Nothing waits here."""
        return self._exporter.force_flush(timeout_millis)


class Lot(Sampler):
    """Keeps what its parent keeps, batches of which any item is kept, and of all else a share by lot.

    By lot and not by the trace's id, which a caller may choose. A caller from outside decides nothing: where the
    process is not `trusting`, its traces are drawn for as well.
    """

    def __init__(self, ratio: float, *, trusting: bool) -> None:
        self.ratio, self.trusting = ratio, trusting

    def should_sample(  # noqa: PLR0913, PLR0917 -- the signature is the API's
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Whether a span is kept."""
        parent = trace.get_current_span(parent_context).get_span_context()
        if parent.is_valid and (self.trusting or not parent.is_remote):
            kept = parent.trace_flags.sampled
        elif links:
            kept = any(link.context.trace_flags.sampled for link in links)
        else:
            kept = random.random() < self.ratio  # noqa: S311 -- no secret
        decision = Decision.RECORD_AND_SAMPLE if kept else Decision.DROP
        return SamplingResult(decision, attributes, parent.trace_state)

    def get_description(self) -> str:
        """For OpenTelemetry's own use."""
        return f"Lot({self.ratio})"


def provider(service: str, sampler: Sampler) -> TracerProvider:
    """What makes tracers for a process, which tells who it is; OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win."""
    known = {
        "service.name": f"ocelli-{service}",
        "service.version": shared.__version__,
        "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
    }
    told = OTELResourceDetector().detect().attributes
    return TracerProvider(sampler, Resource.create({**known, **told}), shutdown_on_exit=False)


def _with_path(endpoint: str) -> str:
    bare = endpoint.rstrip("/")
    return f"{bare}/v1/traces" if bare.count("/") == 2 else bare
