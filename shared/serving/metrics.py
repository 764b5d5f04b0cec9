"""Every metric of every process, declared once.

Names follow the OpenTelemetry and Prometheus conventions: base units, `_seconds`, `_bytes`, `_total`. No label takes
its value from a request: routes are the declared ones, methods and outcomes come from closed sets.
"""

import platform
from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

import shared

disable_created_metrics()  # type: ignore[no-untyped-call]

HTTP_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)  # few: there is a series of each for every kind of request
STAGE_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
LOAD_BUCKETS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
SWAP_BUCKETS = (0.001, 0.01, *LOAD_BUCKETS)

STREAM_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 30, 60, 120)
FIRST_BUCKETS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2, 2.5, 5, 7.5, 10, 20, 40)
GAP_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5)

HTTP_SECONDS = Histogram(
    "http_server_request_duration_seconds",
    "Time from the request's first byte in to the answer's last byte out.",
    ["http_request_method", "http_route", "http_response_status_code"],
    buckets=HTTP_BUCKETS,
)
API, UNMATCHED, METHOD_NOT_ALLOWED = "/v1/", "unmatched", 405
TOLD = frozenset({200, 429, 499, 503, 504})  # what each asks of an operator differs; of the others the class does
HTTP_ACTIVE = Gauge("http_server_active_requests", "Requests being served now.", ["http_request_method"])


@cache
def http_active(method: str) -> Gauge:
    """`HTTP_ACTIVE` for a method; looked up once, because every request asks."""
    return HTTP_ACTIVE.labels(method)


@cache
def http_seconds(method: str, route: str, status: int) -> Histogram:
    """`HTTP_SECONDS` for a request; looked up once, because every request asks."""
    return HTTP_SECONDS.labels(*kind(method, route, status))


def kind(method: str, route: str, status: int) -> tuple[str, str, str]:
    """The labels of a request: few, whatever callers do, since each kind costs a series for every bucket.

    A route that does not take the method did not answer. Only of the API are methods told, HEAD as the GET that it is,
    and the statuses in `TOLD`; all others are told by their class, "4xx".
    """
    route = UNMATCHED if status == METHOD_NOT_ALLOWED else route
    api = route.startswith(API)
    method = {"HEAD": "GET"}.get(method, method) if api else "OTHER"
    return method, route, str(status) if api and status in TOLD else f"{status // 100}xx"


OUTCOMES = ("ok", "client_error", "overload", "cancelled", "error")
REQUESTS = Counter(
    "ocelli_inference_requests", "Inferences by outcome: ok, client_error, overload, cancelled, error.",
    ["service", "model", "outcome"],
)  # fmt: skip
STAGE_SECONDS = Histogram(
    "ocelli_inference_stage_duration_seconds",
    "Time of one inference in preprocess, of which decode is a part, in the queue, in the forward pass of its batch "
    "(of chat: one step of all answers), and in postprocess, from there to the finished body.",
    ["model", "stage"],
    buckets=STAGE_BUCKETS,
)
QUEUE_DEPTH = Gauge("ocelli_inference_queue_depth", "Places of the queue that are taken.", ["model"])
QUEUE_LIMIT = Gauge("ocelli_inference_queue_limit", "Places of the queue; who finds none is refused.", ["model"])
IN_FLIGHT = Gauge("ocelli_inference_in_flight", "Inferences that are accepted and not yet answered.", ["model"])
BATCH_SIZE = Histogram(
    "ocelli_inference_batch_size",
    "Items of one batch; of chat: answers that got a token in one step.",
    ["model"],
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
BATCH_LIMIT = Gauge("ocelli_inference_batch_limit", "Items that a batch may have; less after out-of-memory.", ["model"])
BATCH_SPLITS = Counter(
    "ocelli_inference_batch_splits", "Batches that were split, because they raised or ran out of memory.",
    ["model", "reason"],
)  # fmt: skip

CACHE_REQUESTS = Counter(
    "ocelli_cache_requests", "Look-ups in a cache by outcome: hit, miss.", ["model", "cache", "outcome"]
)

# Answers that come token by token; the names after `ocelli_` are vLLM's, see `TokenAliases`.
FIRST_TOKEN_SECONDS = Histogram(
    "ocelli_time_to_first_token_seconds", "From the request to its first token.", ["model"], buckets=FIRST_BUCKETS
)
INTER_TOKEN_SECONDS = Histogram(
    "ocelli_inter_token_latency_seconds", "Between two tokens of one request.", ["model"], buckets=GAP_BUCKETS
)
STREAM_SECONDS = Histogram(
    "ocelli_e2e_request_latency_seconds", "From the request to its last token.", ["model"], buckets=STREAM_BUCKETS
)
PROMPT_TOKENS = Counter("ocelli_prompt_tokens", "Tokens of prompts, those of pictures included.", ["model"])
GENERATION_TOKENS = Counter("ocelli_generation_tokens", "Tokens of answers.", ["model"])
ANSWERS = Counter("ocelli_request_success", "Complete answers by reason: stop, length.", ["model", "finished_reason"])
RUNNING = Gauge("ocelli_num_requests_running", "Answers that a step computes.", ["model"])
WAITING = Gauge("ocelli_num_requests_waiting", "Answers that wait for a place in the step or in memory.", ["model"])
KV_USAGE = Gauge("ocelli_kv_cache_usage_ratio", "Share of the memory for keys and values in use, 0 to 1.", ["model"])
PREEMPTIONS = Counter("ocelli_num_preemptions", "Answers set back since memory was short.", ["model"])
PREFIX_QUERIES = Counter("ocelli_prefix_cache_queries", "Tokens of prompts that were looked up in memory.", ["model"])
PREFIX_HITS = Counter("ocelli_prefix_cache_hits", "Tokens of prompts that were found in memory.", ["model"])

MODEL_INFO = Gauge("ocelli_model_info", "1 for the weights in use.", ["model", "version", "digest", "dtype", "device"])
MODEL_LOADED = Gauge("ocelli_model_loaded_timestamp_seconds", "When the weights in use were taken over.", ["model"])
MODEL_LOAD_SECONDS = Histogram(
    "ocelli_model_load_duration_seconds", "Time from reading weights to serving them.", ["model"], buckets=LOAD_BUCKETS
)
RELOADS = ("ok", "refused", "aborted", "expired", "rolled_back")
MODEL_RELOADS = Counter(
    "ocelli_model_reloads",
    "Changes of weights by outcome: ok, refused, aborted, expired, rolled_back.",
    ["model", "outcome"],
)
MODEL_SWAP_SECONDS = Histogram(
    "ocelli_model_swap_duration_seconds",
    "Time of one step of a change of weights: prepare (refused ones included), commit.",
    ["model", "phase"],
    buckets=SWAP_BUCKETS,
)
WEIGHTS_SKEW = Gauge(
    "ocelli_model_weights_skew", "1 while the alias that a model follows names other weights than serve.", ["model"]
)
FOLLOW_TROUBLE = Gauge(
    "ocelli_model_follow_trouble", "1 while a model cannot follow its alias, as when the store is away.", ["model"]
)

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
UPSTREAM_REPLICAS = Gauge("ocelli_upstream_replicas", "Known replicas of a deployed service.", ["upstream"])
UPSTREAM_READY = Gauge("ocelli_upstream_ready_replicas", "Those of them that are ready.", ["upstream"])
RATE_LIMITED = Counter("ocelli_rate_limited", "Requests refused by a limit on the caller.", ["limit"])

READY = Gauge("ocelli_ready", "1 while this process takes requests.")
DEVICE_HEALTHY = Gauge("ocelli_device_healthy", "1 while the device thread turns; 0: lost or stalled.", ["service"])
BUILD_INFO = Gauge(
    "ocelli_build_info",
    "1 for the code that runs.",
    ["service", "version", "revision", "python_version", "torch_version"],
)
GPU_ALLOCATED = Gauge("ocelli_gpu_memory_allocated_bytes", "Device memory in use by tensors.", ["device"])
GPU_RESERVED = Gauge("ocelli_gpu_memory_reserved_bytes", "Device memory held by the allocator.", ["device"])


def describe_build(service: str, revision: str, torch_version: str = "") -> None:
    """Publish which code this process runs; processes without torch leave its version empty."""
    BUILD_INFO.labels(service, shared.__version__, revision, platform.python_version(), torch_version).set(1)


class TokenAliases(Collector):
    """The metrics of token streams once more under vLLM's names, for dashboards and autoscalers made for it."""

    NAMES: Mapping[str, Counter | Gauge | Histogram] = MappingProxyType(
        {
            "vllm:num_requests_running": RUNNING,
            "vllm:num_requests_waiting": WAITING,
            "vllm:kv_cache_usage_perc": KV_USAGE,
            "vllm:prompt_tokens": PROMPT_TOKENS,
            "vllm:generation_tokens": GENERATION_TOKENS,
            "vllm:request_success": ANSWERS,
            "vllm:num_preemptions": PREEMPTIONS,
            "vllm:prefix_cache_queries": PREFIX_QUERIES,
            "vllm:prefix_cache_hits": PREFIX_HITS,
            "vllm:time_to_first_token_seconds": FIRST_TOKEN_SECONDS,
            "vllm:inter_token_latency_seconds": INTER_TOKEN_SECONDS,
            "vllm:e2e_request_latency_seconds": STREAM_SECONDS,
        }
    )

    def collect(self) -> Iterator[Metric]:
        """Every family under its other name, with `model_name` where ours says `model`."""
        for alias, metric in self.NAMES.items():
            for family in metric.collect():
                renamed = Metric(alias, family.documentation, family.type)
                for sample in family.samples:
                    labels = {"model_name" if key == "model" else key: value for key, value in sample.labels.items()}
                    name = alias + sample.name.removeprefix(family.name)
                    renamed.samples.append(Sample(name, labels, sample.value, sample.timestamp, sample.exemplar))
                yield renamed


def alias_tokens() -> None:
    """Tell the metrics of token streams under vLLM's names as well."""
    REGISTRY.register(TokenAliases())
