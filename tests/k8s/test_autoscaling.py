"""Replicas by what waits, never by how busy a device looks; and nobody else sets their number."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
from prometheus_client import Counter, Gauge, Histogram

from shared.serving import metrics
from tests.k8s.manifests import Object, build, named, of_kind

DEMAND = {"ocelli_inference_in_flight", "ocelli_inference_queue_depth", "http_server_active_requests"}


def declared() -> set[str]:
    """The names of all metrics that are gauges: what an autoscaler can read as it is."""
    kinds = (Counter, Gauge, Histogram)
    found = [value for value in vars(metrics).values() if isinstance(value, kinds)]
    return {family.name for metric in found if isinstance(metric, Gauge) for family in metric.collect()}


def selectors(expression: Any) -> Iterator[Any]:
    """The vector selectors of a parsed expression."""
    if isinstance(expression, promql_parser.VectorSelector):
        yield expression
    for part in ("expr", "lhs", "rhs"):
        if hasattr(expression, part):
            yield from selectors(getattr(expression, part))


def triggers(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each scaled object with each of its triggers."""
    for scaled in of_kind(objects, "ScaledObject"):
        for trigger in scaled["spec"]["triggers"]:
            yield scaled, trigger


def test_every_query_names_a_metric_of_ours_in_the_namespace_and_service_that_it_scales(prod: list[Object]) -> None:
    for scaled, trigger in triggers(prod):
        (selector,) = selectors(promql_parser.parse(trigger["metadata"]["query"]))
        labels = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
        assert selector.name in DEMAND & declared()
        assert labels == {"namespace": scaled["metadata"]["namespace"], "job": scaled["metadata"]["name"]}
        assert scaled["spec"]["scaleTargetRef"]["name"] == f"{labels['job']}-server"
        assert trigger["metricType"] == "AverageValue"
        assert float(trigger["metadata"]["threshold"]) > 0


def test_the_labels_of_the_queries_are_those_that_the_scrape_gives(prod: list[Object]) -> None:
    monitor = named(prod, "PodMonitor", "ocelli")
    assert monitor["spec"]["jobLabel"] == "app.kubernetes.io/name"
    for deployment in of_kind(prod, "Deployment"):
        name = deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        assert deployment["metadata"]["name"] == f"{name}-server"


def test_without_prometheus_there_are_enough_replicas_and_after_a_burst_nobody_hurries_away(prod: list[Object]) -> None:
    for scaled in of_kind(prod, "ScaledObject"):
        spec = scaled["spec"]
        behaviour = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
        assert spec["fallback"]["replicas"] >= spec["minReplicaCount"] >= 2
        assert spec["maxReplicaCount"] >= spec["fallback"]["replicas"]
        assert behaviour["scaleDown"]["stabilizationWindowSeconds"] >= 300
        assert behaviour["scaleUp"]["stabilizationWindowSeconds"] == 0


@pytest.mark.parametrize("combination", ["pvc-store-hpa", "s3-store-hpa", "oci-image-volume-hpa"])
def test_without_keda_the_processor_decides_within_the_same_bounds(combination: str, folders: dict[str, Path]) -> None:
    objects = build(folders[combination])
    for scaler in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = scaler["spec"]
        assert named(objects, "Deployment", spec["scaleTargetRef"]["name"])
        assert 2 <= spec["minReplicas"] < spec["maxReplicas"]
        assert [one["resource"]["name"] for one in spec["metrics"]] == ["cpu"]
        assert spec["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 300


def test_every_deployment_has_one_autoscaler_and_no_number_of_its_own(folders: dict[str, Path]) -> None:
    for name, folder in folders.items():
        objects = build(folder)
        scalers = of_kind(objects, "ScaledObject", "HorizontalPodAutoscaler")
        targets = sorted(one["spec"]["scaleTargetRef"]["name"] for one in scalers)
        deployments = of_kind(objects, "Deployment")
        assert not [one for one in deployments if "replicas" in one["spec"]]
        if name not in {"dev", "finetune", "finetune-many"}:
            assert targets == sorted(one["metadata"]["name"] for one in deployments)
