"""What the dashboards' expressions have in common."""

RATE = "$__rate_interval"
JOB, MODEL = 'job=~"$service"', 'model=~"$model"'  # the dashboards' variables
HIT, ERROR, FORWARD = 'outcome="hit"', 'outcome="error"', 'stage="forward"'
HTTP, STAGE = "http_server_request_duration_seconds", "ocelli_inference_stage_duration_seconds"
SERVICES = {"service": "label_values(ocelli_build_info, job)"}
MODELS = {"model": "label_values(ocelli_model_info, model)"}


def rate(metric: str, by: str, where: str = "") -> str:
    """The rate of a counter, added up over everything else than `by`."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[{RATE}]))"


def share(metric: str, by: str, where: str, part: str) -> str:
    """The share of a counter's rate that has the label `part`."""
    return f"{rate(metric, by, f'{where},{part}')} / ({rate(metric, by, where)} > 0)"


def quantile(q: float, metric: str, by: str, where: str) -> str:
    """A quantile of a histogram."""
    return f"histogram_quantile({q}, {rate(f'{metric}_bucket', f'{by}, le', where)})"


def mean(metric: str, by: str, where: str) -> str:
    """The mean of what a histogram observed."""
    return f"{rate(f'{metric}_sum', by, where)} / ({rate(f'{metric}_count', by, where)} > 0)"
