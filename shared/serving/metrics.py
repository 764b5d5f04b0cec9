"""Every metric of every process, declared once.

Names follow the OpenTelemetry and Prometheus conventions: base units, `_seconds`, `_bytes`, `_total`. No label takes
its value from a request: routes are the declared ones, methods and outcomes come from closed sets.
"""

import platform
from functools import cache

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics

import shared

disable_created_metrics()  # type: ignore[no-untyped-call]

HTTP_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120)
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LOAD_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

HTTP_SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "Time from the request's first byte in to the answer's last byte out.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=HTTP_BUCKETS,
)
HTTP_ACTIVE = Gauge("http_server_active_requests", "Requests being served now.", ["http_request_method"])


@cache
def http_active(method: str) -> Gauge:
    """`HTTP_ACTIVE` for a method; looked up once, because every request asks."""
    return HTTP_ACTIVE.labels(method)


@cache
def http_seconds(method: str, route: str, status: int) -> Histogram:
    """`HTTP_SECONDS` for a kind of request; the kinds are few, since none of the three is a caller's to choose."""
    return HTTP_SECONDS.labels(method, route, str(status))


REQUESTS = Counter(
    "ocelli_inference_requests", "Inferences by outcome: ok, client_error, overload, cancelled, error.",
    ["service", "model", "outcome"],
)  # fmt: skip
STAGE_SECONDS = Histogram(
    "ocelli_inference_stage_duration_seconds",
    "Time of one inference in preprocess (decode and resize), in the queue, and in the forward pass of its batch.",
    ["model", "stage"],
    buckets=STAGE_BUCKETS,
)
QUEUE_DEPTH = Gauge("ocelli_inference_queue_depth", "Inferences that wait for the device.", ["model"])
IN_FLIGHT = Gauge("ocelli_inference_in_flight", "Inferences that are accepted and not yet answered.", ["model"])
BATCH_SIZE = Histogram(
    "ocelli_inference_batch_size", "Items of one batch.", ["model"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
BATCH_LIMIT = Gauge("ocelli_inference_batch_limit", "Items that a batch may have; less after out-of-memory.", ["model"])
BATCH_SPLITS = Counter(
    "ocelli_inference_batch_splits", "Batches that were split, because they raised or ran out of memory.",
    ["model", "reason"],
)  # fmt: skip

CACHE_REQUESTS = Counter(
    "ocelli_cache_requests", "Look-ups in a cache by outcome: hit, miss.", ["model", "cache", "outcome"]
)

MODEL_INFO = Gauge("ocelli_model_info", "1 for the weights in use.", ["model", "version", "digest", "dtype", "device"])
MODEL_LOADED = Gauge("ocelli_model_loaded_timestamp_seconds", "When the weights in use were taken over.", ["model"])
MODEL_LOAD_SECONDS = Histogram(
    "ocelli_model_load_duration_seconds", "Time from reading weights to serving them.", ["model"], buckets=LOAD_BUCKETS
)
MODEL_RELOADS = Counter("ocelli_model_reloads", "Attempts to take weights over.", ["model", "outcome"])

UPSTREAM_SECONDS = Histogram(
    "ocelli_upstream_request_duration_seconds",
    "Time of one try at a service, from sending to the answer's last byte.",
    ["upstream", "outcome"],
    buckets=HTTP_BUCKETS,
)
UPSTREAM_RETRIES = Counter("ocelli_upstream_retries", "Second tries at a service.", ["upstream"])
BREAKER_STATE = Gauge(
    "ocelli_circuit_breaker_state", "Replicas of a service that are out of use after failures.", ["upstream"]
)
UPSTREAM_READY = Gauge("ocelli_upstream_ready_replicas", "Replicas of a service that are ready.", ["upstream"])
RATE_LIMITED = Counter("ocelli_rate_limited", "Requests refused by a limit on the caller.", ["limit"])

READY = Gauge("ocelli_ready", "1 while this process takes requests.")
BUILD_INFO = Gauge(
    "ocelli_build_info", "1 for the code that runs.", ["service", "version", "python_version", "torch_version"]
)
GPU_ALLOCATED = Gauge("ocelli_gpu_memory_allocated_bytes", "Device memory in use by tensors.", ["device"])
GPU_RESERVED = Gauge("ocelli_gpu_memory_reserved_bytes", "Device memory held by the allocator.", ["device"])


def describe_build(service: str, torch_version: str = "") -> None:
    """Publish which code this process runs; processes without torch leave its version empty."""
    BUILD_INFO.labels(service, shared.__version__, platform.python_version(), torch_version).set(1)
