"""Which weights answer, since when, and what changed with them."""

from grid import Dashboard, Panel, Row
from promql import ERROR, FORWARD, MODEL, MODELS, RATE, STAGE, mean, rate

CHANGES = f"sum by (model, outcome) (increase(ocelli_model_reloads_total{{{MODEL}}}[{RATE}]))"
WEIGHTS = Row(
    "Which weights answer",
    [
        Panel(
            "Now",
            "none",
            {"": f"count by (model, version, digest, dtype, device) (ocelli_model_info{{{MODEL}}})"},
            kind="table",
            width=16,
        ),
        Panel(
            "Digests at once",
            "none",
            {"{{model}}": f"job_model:ocelli_model_digests:count{{{MODEL}}}"},
            "1, but for the moment of a push.",
        ),
        Panel(
            "Replicas by version",
            "none",
            {"{{model}}@{{version}}": f"count by (model, version) (ocelli_model_info{{{MODEL}}})"},
        ),
        Panel(
            "Changes",
            "none",
            {"{{model}} {{outcome}}": CHANGES},
        ),
        Panel(
            "Not what the alias names",
            "none",
            {
                "{{model}} {{instance}}": f"ocelli_model_weights_skew{{{MODEL}}}",
                "{{model}} {{instance}} cannot follow": f"ocelli_model_follow_trouble{{{MODEL}}}",
            },
        ),
        Panel("Age", "s", {"{{model}} {{instance}}": f"time() - ocelli_model_loaded_timestamp_seconds{{{MODEL}}}"}),
        Panel(
            "Time to load and to prepare",
            "s",
            {
                "{{model}} load": mean("ocelli_model_load_duration_seconds", "model", MODEL),
                "{{model}} {{phase}}": mean("ocelli_model_swap_duration_seconds", "model, phase", MODEL),
            },
        ),
        Panel(
            "Code",
            "none",
            {"": "count by (service, version, revision, torch_version) (ocelli_build_info)"},
            kind="table",
        ),
    ],
)

# Each version is measured over the time that it served: a series ends where the next one begins.
EACH = "job, instance, model"
BY_VERSION = f"* on ({EACH}) group_left (version) ocelli_model_info{{{MODEL}}}"
FORWARD_SECONDS = mean(STAGE, EACH, f"{MODEL},{FORWARD}")
FAILED = rate("ocelli_inference_requests_total", EACH, f"{MODEL},{ERROR}")
ASKED = rate("ocelli_inference_requests_total", EACH, MODEL)
BEFORE_AFTER = Row(
    "Before and after, by version",
    [
        Panel(
            "Mean forward",
            "s",
            {"{{model}}@{{version}}": f"({FORWARD_SECONDS}) {BY_VERSION}"},
        ),
        Panel(
            "Errors",
            "reqps",
            {"{{model}}@{{version}}": f"{FAILED} {BY_VERSION}"},
        ),
        Panel(
            "Inferences",
            "reqps",
            {"{{model}}@{{version}}": f"{ASKED} {BY_VERSION}"},
        ),
    ],
)
ROLLOUT = Dashboard("ocelli-rollout", "Ocelli: rollout", MODELS, [WEIGHTS, BEFORE_AFTER])
