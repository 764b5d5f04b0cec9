"""What Prometheus, Alertmanager and Grafana are given, as the tests read it."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from prometheus_client import Counter, Gauge, Histogram

from shared.serving import metrics
from tests.processes import ROOT

PROMETHEUS, GRAFANA = ROOT / "docker/prometheus", ROOT / "docker/grafana"
RULES = sorted((PROMETHEUS / "rules").glob("*.yml"))
BOARDS = sorted((GRAFANA / "dashboards").glob("*.json"))
KEDA = ROOT / "k8s/components/keda/scaled-objects.yaml"
# What others than us export: Prometheus about its targets, its client about the process, dcgm-exporter about GPUs.
FOREIGN = {"up", "process_start_time_seconds", "process_resident_memory_bytes", "process_cpu_seconds_total"}
DCGM = {
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_XID_ERRORS",
}


def rules(kind: str) -> list[dict[str, Any]]:
    """All rules of a kind, `record` or `alert`."""
    groups = [group for path in RULES for group in yaml.safe_load(path.read_text())["groups"]]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def boards() -> dict[str, dict[str, Any]]:
    """The dashboards by file name."""
    return {path.name: json.loads(path.read_text()) for path in BOARDS}


def panels(board: dict[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def shown() -> list[tuple[str, str]]:
    """Each expression of each dashboard, with its place."""
    return [
        (f"{name}: {panel['title']}", target["expr"])
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def plain(expr: str, window: str = "1m") -> str:
    """An expression with Grafana's variables filled in."""
    return re.sub(r"\$(service|model)", ".*", expr.replace("$__rate_interval", window))


def scaled() -> list[tuple[str, str]]:
    """The expressions by which KEDA scales, where there are manifests."""
    documents = yaml.safe_load_all(KEDA.read_text()) if KEDA.exists() else ()
    return [
        (f"keda: {document['metadata']['name']}", trigger["metadata"]["query"])
        for document in documents
        for trigger in document["spec"]["triggers"]
    ]


def names(expr: str) -> set[str]:
    """The metrics that an expression asks for. Raises `ValueError` for what is no PromQL."""
    return set(_selected(promql_parser.parse(plain(expr))))


def _selected(node: Any) -> Iterator[str]:
    if isinstance(node, promql_parser.VectorSelector) and node.name:
        yield node.name
    for part in ("expr", "lhs", "rhs", "param", "vector_selector"):
        if (inner := getattr(node, part, None)) is not None and not isinstance(inner, str):
            yield from _selected(inner)
    for argument in getattr(node, "args", ()):
        yield from _selected(argument)


def exported() -> set[str]:
    """The names of the series that our processes may export."""
    found = set(FOREIGN)
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.collect()
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            found |= {family.name + suffix for suffix in suffixes}
    return found


def generated(script: Path, call: str) -> Any:
    """What a function of a script of ours returns, as JSON; the script runs as it does for an operator."""
    code = f"import json, {script.stem} as it; print(json.dumps({call}))"
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, cwd=script.parent, capture_output=True, text=True, check=True).stdout)
