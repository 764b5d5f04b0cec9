"""Rules of Prometheus: they are what their generator writes, they fire when they should and at no other time."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability import shipped
from tests.observability.shipped import PROMETHEUS, RULES
from tests.processes import ROOT

PROMTOOL = str(ROOT / ".venv/bin/promtool")
SLO = PROMETHEUS / "slo.py"
OBJECTIVES = shipped.generated(
    SLO, "[[o.service, o.slo, o.share, o.seconds, o.metric, o.routes] for o in it.OBJECTIVES]"
)
BURNS = shipped.generated(SLO, "[[b.factor, b.long, b.short, b.severity] for b in it.BURNS]")
MINUTES = {"5m": 5, "30m": 30, "1h": 60, "2h": 120, "6h": 360, "1d": 1440, "3d": 4320}


def test_promtool_accepts_every_file(tmp_path: Path) -> None:
    checked = subprocess.run(
        [PROMTOOL, "check", "config", "--lint=all", "--lint-fatal", str(PROMETHEUS / "prometheus.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr
    assert all(path.name in checked.stdout for path in RULES)


def test_the_rules_of_the_objectives_are_what_their_generator_writes() -> None:
    assert (PROMETHEUS / "rules/slo.yml").read_text() == shipped.generated(SLO, "it.rules()")


def test_every_symptom_fires_and_does_not_fire() -> None:
    run_promtool(PROMETHEUS / "tests/symptoms.yml")
    told = (PROMETHEUS / "tests/symptoms.yml").read_text()
    symptoms = [
        rule["alert"] for rule in shipped.rules("alert") if rule["alert"] not in {"AvailabilityBurn", "LatencyBurn"}
    ]
    recorded = [rule["record"] for rule in shipped.rules("record") if not rule["record"].startswith("service_slo:")]
    assert [name for name in symptoms if f'alertname="{name}"' not in told] == []
    assert [name for name in recorded if f"expr: {name}" not in told and f"round({name}" not in told] == []


def test_every_rule_asks_for_metrics_that_exist() -> None:
    known = shipped.exported() | shipped.DCGM | {rule["record"] for rule in shipped.rules("record")}
    for rule in shipped.rules("record") + shipped.rules("alert"):
        assert shipped.names(rule["expr"]) <= known, rule


def test_a_threshold_of_latency_is_a_boundary_of_its_buckets() -> None:
    from shared.serving.metrics import FIRST_BUCKETS, HTTP_BUCKETS

    for _, slo, _, seconds, metric, _ in OBJECTIVES:
        if slo == "latency":
            assert seconds in (HTTP_BUCKETS if metric.startswith("http") else FIRST_BUCKETS)


def test_every_route_that_asks_a_service_is_in_its_objective() -> None:
    from services.gateway.routes import ROUTES

    promised = {(service, route) for service, _, _, _, _, routes in OBJECTIVES for route in routes.split("|")}
    assert [route.path for route in ROUTES if route.service and (route.service, route.path) not in promised] == []


@pytest.mark.parametrize("slo", ["availability", "latency"])
@pytest.mark.parametrize(("factor", "long", "short", "severity"), BURNS)
def test_a_budget_that_burns_too_fast_is_an_alert_of_its_service_and_of_nothing_else(
    tmp_path: Path, slo: str, factor: float, long: str, short: str, severity: str
) -> None:
    """Some services burn at 1.3 times the speed of this alert, the others at 0.7 times."""
    minutes, pace = MINUTES[long], 1 if severity == "page" else 10
    series, labels = [], []
    for index, objective in enumerate(each for each in OBJECTIVES if each[1] == slo):
        burns = index % 3 != 1
        share = factor * (1 - objective[2]) * (1.3 if burns else 0.7)
        series += traffic(objective, bad=6000 * share, samples=minutes // pace)
        if burns:
            name = {"availability": "AvailabilityBurn", "latency": "LatencyBurn"}[slo]
            labels.append(f'alertname="{name}",severity="{severity}",service="{objective[0]}"')
    assert_alerts(tmp_path, series, minutes, labels, window=long, pace=pace)


@pytest.mark.parametrize(
    "case", ["no traffic", "one error of one request", "nine errors", "errors that are over", "not deployed"]
)
def test_nobody_is_called_for_what_is_little_or_over(tmp_path: Path, case: str) -> None:
    minutes, objective = 60, next(o for o in OBJECTIVES if o[:2] == ["clip", "availability"])
    total, failed = {
        "no traffic": (f"0x{minutes}", f"0x{minutes}"),
        "one error of one request": (f"0x50 1x{minutes - 50}", f"0x50 1x{minutes - 50}"),
        "nine errors": (f"0x50 9x{minutes - 50}", f"0x50 9x{minutes - 50}"),
        "errors that are over": (f"0+60x{minutes}", f"0+60x30 1800x{minutes - 31}"),
        "not deployed": (f"0+60x{minutes}", f"0+60x{minutes}"),
    }[case]
    series = [*pair(objective, total, failed), *deployed("clip", minutes, there=case != "not deployed")]
    assert_alerts(tmp_path, series, minutes, [], window="1h")


def test_a_restart_of_the_gateway_neither_hides_nor_invents_errors(tmp_path: Path) -> None:
    """Counters fall to zero at half time; 2 % of the requests fail all the time, and of another service none."""
    clip, owlvit = (next(o for o in OBJECTIVES if o[:2] == [name, "availability"]) for name in ("clip", "owlvit"))
    series = [
        *pair(clip, "0+300x30 0+300x30", "0+6x30 0+6x30"),
        *pair(owlvit, "90000+300x30 0+300x30", "5000x30 0x30"),
        *deployed("clip", 60), *deployed("owlvit", 60),
    ]  # fmt: skip
    assert_alerts(tmp_path, series, 60, ['alertname="AvailabilityBurn",severity="page",service="clip"'], window="1h")


def traffic(objective: list[Any], *, bad: float, samples: int) -> list[dict[str, str]]:
    """6,000 requests between two samples of one service, of which `bad` are."""
    service = objective[0]
    if objective[1] == "availability":
        return [*pair(objective, f"0+{6000 - bad}x{samples}", f"0+{bad}x{samples}"), *deployed(service, samples)]
    metric, le = objective[4], f'le="{float(objective[3])}"'
    route = objective[5].split("|")[0].replace(".*", "")
    labels = f'job="gateway",http_route="{route}",http_response_status_code="201"' if route else f'job="{service}"'
    return [
        {"series": f"{metric}_count{{{labels}}}", "values": f"0+6000x{samples}"},
        {"series": f"{metric}_bucket{{{labels},{le}}}", "values": f"0+{6000 - bad}x{samples}"},
        *deployed(service, samples),
    ]


def pair(objective: list[Any], good: str, failed: str) -> list[dict[str, str]]:
    """Answers of one service by their status; a 429 is the caller's own doing."""
    route = objective[5].split("|")[0].replace(".*", "")
    name = f'http_server_request_duration_seconds_count{{job="gateway",http_route="{route}"'
    return [
        {"series": f'{name},http_response_status_code="429"}}', "values": good},
        {"series": f'{name},http_response_status_code="503"}}', "values": failed},
    ]


def deployed(service: str, minutes: int, *, there: bool = True) -> Iterator[dict[str, str]]:
    """The gateway knows a replica of a service, if there is one."""
    if there:
        yield {"series": f'ocelli_upstream_replicas{{upstream="{service}"}}', "values": f"1x{minutes}"}


def assert_alerts(
    folder: Path, series: list[dict[str, str]], minutes: int, expected: list[str], *, window: str, pace: int = 1
) -> None:
    """Let `series` pass, a sample every `pace` minutes, and see exactly these alerts of a window at the end."""
    groups = [group["name"] for group in yaml.safe_load((PROMETHEUS / "rules/slo.yml").read_text())["groups"]]
    question = f'sum by (alertname, severity, service) (ALERTS{{alertstate="firing",window="{window}"}})'
    test = {
        "rule_files": [str(PROMETHEUS / "rules/slo.yml")],
        "evaluation_interval": "5m" if minutes <= 60 else f"{minutes // 4}m",
        "group_eval_order": groups,
        "tests": [
            {
                "interval": f"{pace}m",
                "input_series": series,
                "promql_expr_test": [
                    {
                        "expr": question,
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": f"{{{labels}}}", "value": 1} for labels in expected],
                    }
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump(test))
    run_promtool(path)


def run_promtool(path: Path) -> None:
    done = subprocess.run([PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
