"""What happens inside a service: stages, queue and batches, chat."""

from grid import Dashboard, Panel, Row
from promql import HIT, MODEL, MODELS, STAGE, mean, quantile, rate, share

FIRST, GAP = "ocelli_time_to_first_token_seconds", "ocelli_inter_token_latency_seconds"
STAGES = Row(
    "Inferences",
    [
        Panel(
            "By outcome",
            "reqps",
            {"{{model}} {{outcome}}": rate("ocelli_inference_requests_total", "model, outcome", MODEL)},
        ),
        Panel(
            "Mean time by stage",
            "s",
            {"{{model}} {{stage}}": mean(STAGE, "model, stage", MODEL)},
            "Decode is a part of preprocess; forward of chat is one step of all.",
        ),
        Panel("99 % by stage", "s", {"{{model}} {{stage}}": quantile(0.99, STAGE, "model, stage", MODEL)}),
    ],
)

LOOKED_UP = rate("ocelli_prefix_cache_queries_total", "model", MODEL)
FOUND = rate("ocelli_prefix_cache_hits_total", "model", MODEL)
BATCHES = Row(
    "Queue and batches",
    [
        Panel(
            "Places taken",
            "none",
            {
                "{{model}} {{instance}}": f"ocelli_inference_queue_depth{{{MODEL}}}",
                "{{model}} limit": f"max by (model) (ocelli_inference_queue_limit{{{MODEL}}})",
            },
        ),
        Panel(
            "Accepted, not yet answered",
            "none",
            {"{{model}}": f"sum by (model) (ocelli_inference_in_flight{{{MODEL}}})"},
        ),
        Panel(
            "Batch size",
            "none",
            {
                "{{model}} mean": mean("ocelli_inference_batch_size", "model", MODEL),
                "{{model}} limit": f"min by (model) (ocelli_inference_batch_limit{{{MODEL}}})",
            },
        ),
        Panel(
            "Batches that were split",
            "reqps",
            {"{{model}} {{reason}}": rate("ocelli_inference_batch_splits_total", "model, reason", MODEL)},
        ),
        Panel(
            "Caches: share found",
            "percentunit",
            {
                "{{model}} {{cache}}": share("ocelli_cache_requests_total", "model, cache", MODEL, HIT),
                "{{model}} prompt tokens": f"{FOUND} / ({LOOKED_UP} > 0)",
            },
        ),
    ],
)

CHAT = Row(
    "Chat",
    [
        Panel(
            "First token",
            "s",
            {
                "{{model}} 50 %": quantile(0.5, FIRST, "model", MODEL),
                "{{model}} 95 %": quantile(0.95, FIRST, "model", MODEL),
            },
        ),
        Panel(
            "Between tokens",
            "s",
            {
                "{{model}} 50 %": quantile(0.5, GAP, "model", MODEL),
                "{{model}} 99 %": quantile(0.99, GAP, "model", MODEL),
            },
        ),
        Panel(
            "Whole answer",
            "s",
            {"{{model}} 95 %": quantile(0.95, "ocelli_e2e_request_latency_seconds", "model", MODEL)},
        ),
        Panel(
            "Tokens",
            "none",
            {
                "{{model}} read/s": rate("ocelli_prompt_tokens_total", "model", MODEL),
                "{{model}} said/s": rate("ocelli_generation_tokens_total", "model", MODEL),
            },
        ),
        Panel(
            "Answers",
            "none",
            {
                "{{model}} speak": f"sum by (model) (ocelli_num_requests_running{{{MODEL}}})",
                "{{model}} wait": f"sum by (model) (ocelli_num_requests_waiting{{{MODEL}}})",
                "{{model}} {{finished_reason}}/s": rate(
                    "ocelli_request_success_total", "model, finished_reason", MODEL
                ),
            },
        ),
        Panel(
            "Memory for keys and values",
            "percentunit",
            {
                "{{model}} {{instance}}": f"ocelli_kv_cache_usage_ratio{{{MODEL}}}",
                "{{model}} set back/s": rate("ocelli_num_preemptions_total", "model", MODEL),
            },
        ),
    ],
)
MODEL_PAGE = Dashboard("ocelli-models", "Ocelli: models", MODELS, [STAGES, BATCHES, CHAT])
