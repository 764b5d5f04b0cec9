"""The page for SREs is held to the code: its tables of metrics, objectives, dashboards and alerts.

`python -m tests.observability.test_observability_page` prints the tables, to be pasted.
"""

from collections.abc import Iterable

import pytest
import yaml
from prometheus_client import Counter, Gauge, Histogram

from shared.serving import metrics
from tests.observability import shipped
from tests.observability.shipped import PROMETHEUS
from tests.processes import ROOT

PAGE = ROOT / "docs/observability.md"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    lines = [list(heads), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def metric_table() -> str:
    """Every metric of ours, by the name of its series."""
    rows = []
    for metric in vars(metrics).values():
        if isinstance(metric, Counter | Gauge | Histogram):
            (family,) = metric.collect()
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(metric._labelnames) or "–"
            rows.append([f"`{name}`", family.type, labels, family.documentation])
    return table(["metric", "type", "labels", "meaning"], rows)


def objective_table() -> str:
    """What is promised."""
    found = shipped.generated(PROMETHEUS / "slo.py", "[[o.service, o.slo, o.share, o.seconds] for o in it.OBJECTIVES]")
    rows = [
        [service, slo, f"{share:.1%}", "no 5xx" if seconds is None else f"within {seconds:g} s"]
        for service, slo, share, seconds in found
    ]
    return table(["service", "objective", "share", "of the requests"], rows)


def alert_table() -> str:
    """Every alert once, its severities, what it says, and the way to its runbook."""
    severities = dict[str, dict[str, None]]()
    for rule in shipped.rules("alert"):
        severities.setdefault(rule["alert"], {})[rule["labels"]["severity"]] = None
    first_lines = {name: (ROOT / f"docs/runbooks/{name}.md").read_text().splitlines()[2] for name in severities}
    rows = [[f"[{name}](runbooks/{name}.md)", ", ".join(how), first_lines[name]] for name, how in severities.items()]
    return table(["alert", "severity", "means"], rows)


@pytest.mark.parametrize("made", [metric_table, objective_table, alert_table])
def test_the_tables_of_the_page_are_those_of_the_code(made: object) -> None:
    assert callable(made)
    assert made() in PAGE.read_text(), "paste what `python -m tests.observability.test_observability_page` prints"


def test_the_page_names_every_dashboard() -> None:
    text = PAGE.read_text()
    assert [board["uid"] for board in shipped.boards().values() if f"`{board['uid']}`" not in text] == []


def test_jobs_are_named_as_the_rules_expect() -> None:
    jobs = [each["job_name"] for each in yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())["scrape_configs"]]
    assert set(jobs) >= {"gateway", "detection", "clip", "owlvit", "llava"}


if __name__ == "__main__":
    print("\n\n".join([metric_table(), objective_table(), alert_table()]))
