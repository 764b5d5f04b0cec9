"""Rules and dashboards of the cluster are those of docker/, and every process is scraped."""

import subprocess
from pathlib import Path

import yaml
from prometheus_client import Counter, Gauge, Histogram

from shared.serving import metrics
from tests.k8s.manifests import K8S, NAME, ROOT, Object, named, of_kind, pod, ports
from tests.k8s.network import selects

MONITORING = K8S / "components" / "monitoring"


def files(folder: str, pattern: str) -> dict[str, str]:
    """The files of a folder by name."""
    return {path.name: path.read_text() for path in sorted((ROOT / folder).glob(pattern))}


def test_the_rules_are_those_of_prometheus_in_the_form_of_its_operator(prod: list[Object]) -> None:
    source = {Path(name).stem: yaml.safe_load(text) for name, text in files("docker/prometheus/rules", "*.yml").items()}
    applied = {one["metadata"]["name"]: one["spec"] for one in of_kind(prod, "PrometheusRule")}
    assert applied == {f"ocelli-{name}": rules for name, rules in source.items()}


def test_the_rules_are_written_by_make_manifests() -> None:
    printed = subprocess.run([MONITORING / "prometheus-rules"], capture_output=True, text=True, check=True).stdout
    assert (MONITORING / "rules.yaml").read_text() == printed, "run `make manifests`"


def test_the_dashboards_are_those_of_grafana_under_the_label_of_its_sidecar(prod: list[Object]) -> None:
    dashboards = named(prod, "ConfigMap", "ocelli-dashboards")
    assert dashboards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert dashboards["data"] == files("docker/grafana/dashboards", "*.json")


def test_every_process_is_scraped_under_the_job_by_which_rules_go(prod: list[Object]) -> None:
    monitor = named(prod, "PodMonitor", "ocelli")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    compose = yaml.safe_load((ROOT / "docker" / "prometheus" / "prometheus.yml").read_text())
    jobs = {scrape["job_name"] for scrape in compose["scrape_configs"]}
    assert monitor["jobLabel"] == NAME
    for deployment in of_kind(prod, "Deployment"):
        labels = pod(deployment)["metadata"]["labels"]
        assert selects(monitor["selector"], labels)
        assert endpoint["port"] in ports(deployment)
        assert labels[NAME] in jobs


def test_no_label_of_ours_is_one_that_the_operator_sets() -> None:
    """It would be renamed to `exported_…`, and with `honorLabels` a process could pass as another."""
    own = [metric for metric in vars(metrics).values() if isinstance(metric, Counter | Gauge | Histogram)]
    labels = {label for metric in own for label in metric._labelnames}
    assert "service" in labels and not labels & {"namespace", "pod", "container", "endpoint", "job", "instance"}
