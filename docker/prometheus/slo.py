"""The service level objectives, and the rules that follow from them: run it to write `rules/slo.yml` again.

objective -> error ratios over seven windows, error counts over the long ones -> two alerts per kind and severity
(multi-window, multi-burn-rate: The Site Reliability Workbook, chapter 5, table 5-8)
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

RULES = Path(__file__).parent / "rules" / "slo.yml"
HTTP = "http_server_request_duration_seconds"
FIRST_TOKEN = "ocelli_time_to_first_token_seconds"  # noqa: S105 -- a metric
LEAST = 10  # errors within the long window; fewer are no reason to wake or to call anybody


@dataclass(frozen=True)
class Objective:
    """What a service promises: `share` of its requests are good. Latency counts answers alone, up to `seconds`."""

    service: str
    routes: str
    share: float
    seconds: float | None = None  # a boundary of the metric's buckets; None for availability
    metric: str = HTTP

    @property
    def slo(self) -> str:
        """The kind of promise."""
        return "availability" if self.seconds is None else "latency"

    @property
    def selector(self) -> str:
        """The labels of all requests that count."""
        if self.metric == FIRST_TOKEN:
            return f'job="{self.service}"'
        answered = "" if self.seconds is None else ',http_response_status_code=~"2.."'
        return f'job="gateway",http_route=~"{self.routes}"{answered}'

    def total(self, function: str, window: str) -> str:
        """All requests that count."""
        return f"sum({function}({self.metric}_count{{{self.selector}}}[{window}]))"

    def bad(self, function: str, window: str) -> str:
        """Those of them that were not as promised."""
        if self.seconds is not None:
            fast = f'{self.metric}_bucket{{{self.selector},le="{float(self.seconds)}"}}'
            return f"({self.total(function, window)} - sum({function}({fast}[{window}])))"
        failed = f'{self.metric}_count{{{self.selector},http_response_status_code=~"5.."}}'
        return f"(sum({function}({failed}[{window}])) or 0 * {self.total(function, window)})"


@dataclass(frozen=True)
class Burn:
    """An alert: the budget of 30 days burns `factor` times too fast, over a long window and still over a short one."""

    factor: float
    long: str
    short: str
    severity: str


CHAT, CLIP = "/v1/chat/completions|/v1/tokenize", "/v1/embeddings|/v1/classify|/v1/similarity|/v1/label-sets"
OBJECTIVES = (
    Objective("gateway", "/v1/models.*", 0.999),
    Objective("gateway", "/v1/models.*", 0.99, seconds=0.5),
    Objective("detection", "/v1/detect", 0.999),
    Objective("detection", "/v1/detect", 0.99, seconds=1),
    Objective("clip", CLIP, 0.999),
    Objective("clip", CLIP, 0.99, seconds=0.5),
    Objective("owlvit", "/v1/detect/open", 0.999),
    Objective("owlvit", "/v1/detect/open", 0.99, seconds=1),
    Objective("llava", CHAT, 0.999),
    Objective("llava", "", 0.95, seconds=2, metric=FIRST_TOKEN),
)
BURNS = (
    Burn(14.4, "1h", "5m", "page"),
    Burn(6, "6h", "30m", "page"),
    Burn(3, "1d", "2h", "ticket"),
    Burn(1, "3d", "6h", "ticket"),
)
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
WRONG = {
    "availability": ("AvailabilityBurn", "failed with a 5xx", "fails too often"),
    "latency": ("LatencyBurn", "were slower than promised", "is too slow"),
}


def records(objective: Objective) -> list[dict[str, Any]]:
    """The recording rules of one objective."""
    labels = {"service": objective.service, "slo": objective.slo}
    ratios = {
        f"service_slo:errors:ratio_rate{window}": f"{objective.bad('rate', window)} / "
        f"({objective.total('rate', window)} > 0)"
        for window in WINDOWS
    }
    # A service that is not deployed is refused with 503, and is no reason to call anybody.
    deployed = f'count(ocelli_upstream_replicas{{upstream="{objective.service}"}})'
    only = "" if objective.service == "gateway" else f" and on() {deployed}"
    counts = {f"service_slo:errors:increase{burn.long}": objective.bad("increase", burn.long) + only for burn in BURNS}
    budget = {"service_slo:error_budget:ratio": f"vector({round(1 - objective.share, 6)})"}
    return [{"record": name, "labels": dict(labels), "expr": expr} for name, expr in (budget | ratios | counts).items()]


def alert(slo: str, burn: Burn) -> dict[str, Any]:
    """The alert for all services that one kind of budget burns at one speed."""
    name, what, summary = WRONG[slo]

    def fast(window: str) -> str:
        ratio, budget = f'service_slo:errors:ratio_rate{window}{{slo="{slo}"}}', "service_slo:error_budget:ratio"
        return f"({ratio} > on (service, slo) {burn.factor} * {budget})"

    enough = f"(service_slo:errors:increase{burn.long} >= {LEAST})"
    pair = " and on (service, slo) "
    return {
        "alert": name,
        "expr": pair.join([fast(burn.long), fast(burn.short), enough]),
        "labels": {"severity": burn.severity, "window": burn.long},
        "annotations": {
            "summary": f"{{{{ $labels.service }}}} {summary}",
            "description": f"{{{{ $value | humanizePercentage }}}} of the requests to {{{{ $labels.service }}}} {what} "
            f"in the last {burn.long}: more than {burn.factor:g} times what its objective allows.",
            "runbook_url": f"docs/runbooks/{name}.md",
            "dashboard_url": "/d/ocelli-overview?var-service={{ $labels.service }}",
        },
    }


def rules() -> str:
    """The file of rules, as text."""
    groups = [{"name": f"slo-{o.service}-{o.slo}", "rules": records(o)} for o in OBJECTIVES]
    groups.append({"name": "slo-alerts", "rules": [alert(slo, burn) for slo in WRONG for burn in BURNS]})
    head = "# Written by docker/prometheus/slo.py: change that, and run it.\n---\n"
    body: str = yaml.safe_dump({"groups": groups}, sort_keys=False, width=110)
    return head + body


if __name__ == "__main__":
    RULES.write_text(rules())
