"""What users feel, by service and route."""

from grid import Dashboard, Panel, Row
from promql import HTTP, JOB, RATE, SERVICES, quantile, rate

BURNED = "service_slo:errors:ratio_rate1h / on (service, slo) service_slo:error_budget:ratio"
SLOS = Row(
    "Objectives",
    [
        Panel(
            "Budget burned, 1 h",
            "none",
            {"{{service}} {{slo}}": BURNED},
            "1 burns the budget of 30 days in 30 days; 14.4 is a page.",
        ),
        Panel("Bad requests, 5 min", "percentunit", {"{{service}} {{slo}}": "service_slo:errors:ratio_rate5m"}),
        Panel(
            "Ready replicas",
            "none",
            {
                "{{upstream}} ready": "max by (upstream) (ocelli_upstream_ready_replicas)",
                "{{upstream}} known": "max by (upstream) (ocelli_upstream_replicas)",
            },
        ),
    ],
)

RED = Row(
    "Requests by service and route",
    [
        Panel("Rate", "reqps", {"{{job}} {{http_route}}": rate(f"{HTTP}_count", "job, http_route", JOB)}),
        Panel(
            "By status",
            "reqps",
            {"{{job}} {{http_response_status_code}}": rate(f"{HTTP}_count", "job, http_response_status_code", JOB)},
        ),
        Panel(
            "5xx",
            "percentunit",
            {"{{job}} {{http_route}}": f"job_route:http_server_request_errors:ratio_rate5m{{{JOB}}}"},
        ),
        Panel("Median", "s", {"{{job}} {{http_route}}": quantile(0.5, HTTP, "job, http_route", JOB)}),
        Panel("99 %", "s", {"{{job}} {{http_route}}": quantile(0.99, HTTP, "job, http_route", JOB)}),
        Panel("Being served now", "none", {"{{job}}": f"sum by (job) (http_server_active_requests{{{JOB}}})"}),
    ],
)

GATEWAY = Row(
    "Gateway to services",
    [
        Panel(
            "Tries by outcome",
            "reqps",
            {"{{upstream}} {{outcome}}": rate("ocelli_upstream_request_duration_seconds_count", "upstream, outcome")},
        ),
        Panel(
            "Second tries, and replicas out of use",
            "none",
            {
                "{{upstream}} second tries/s": rate("ocelli_upstream_retries_total", "upstream"),
                "{{upstream}} out of use": "max by (upstream) (ocelli_circuit_breaker_state)",
            },
        ),
        Panel("Refused by a quota", "reqps", {"{{limit}}": rate("ocelli_rate_limited_total", "limit")}),
    ],
)

PROCESSES = Row(
    "Processes",
    [
        Panel("Memory", "bytes", {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{JOB}}}"}),
        Panel("CPU", "none", {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{{{JOB}}}[{RATE}])"}, "Cores."),
        Panel("Up", "none", {"{{job}} {{instance}}": f"up{{{JOB}}}"}),
    ],
)
OVERVIEW = Dashboard("ocelli-overview", "Ocelli: overview", SERVICES, [SLOS, RED, GATEWAY, PROCESSES])
