"""How a replica starts, is watched, is replaced and ends, with no request lost."""

from typing import Any

import pytest

from services.gateway.settings import GatewaySettings
from shared.serving.probes import PATHS
from tests.k8s.manifests import (
    COMPONENT,
    K8S,
    Object,
    build,
    container,
    of_kind,
    pod,
    service_of,
    settings_of,
)
from tests.k8s.network import selects

DNS_TTL_S = 5  # for which a cluster's DNS may go on with an old answer
PROBES = {"startupProbe": "/startupz", "readinessProbe": "/readyz", "livenessProbe": "/livez"}


def pre_stop(deployment: Object) -> int:
    """Seconds for which a replica goes on before it is told to end."""
    seconds: int = container(deployment)["lifecycle"]["preStop"]["sleep"]["seconds"]
    return seconds


def patience(probe: dict[str, Any]) -> int:
    """Seconds for which a probe may fail before it has a consequence."""
    seconds: int = probe["periodSeconds"] * probe["failureThreshold"]
    return seconds


def test_each_probe_asks_its_own_question_on_the_management_port(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        asked = {probe: container(deployment)[probe]["httpGet"] for probe in PROBES}
        assert {probe: get["path"] for probe, get in asked.items()} == PROBES
        assert {get["path"] for get in asked.values()} <= PATHS
        assert {get["port"] for get in asked.values()} == {"management"}


def test_a_start_may_take_minutes_a_hang_not_one_and_traffic_stops_before_a_restart(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        found = container(deployment)
        assert patience(found["startupProbe"]) >= 600
        assert patience(found["readinessProbe"]) < patience(found["livenessProbe"]) <= 60
        assert deployment["spec"]["progressDeadlineSeconds"] > patience(found["startupProbe"])


def test_the_grace_is_longer_than_all_that_happens_in_it(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        read = settings_of(overlay, deployment)
        grace = pod(deployment)["spec"]["terminationGracePeriodSeconds"]
        assert grace >= pre_stop(deployment) + read.drain_delay_s + read.drain_s + 5, service_of(deployment)


@pytest.mark.parametrize("service", ["gateway", "llava"])
def test_the_longest_chat_is_heard_to_its_end(service: str, overlay: list[Object]) -> None:
    (deployment,) = [one for one in of_kind(overlay, "Deployment") if service_of(one) == service]
    read = settings_of(overlay, deployment)
    longest = max(read.chat_s, read.deadline_s) if isinstance(read, GatewaySettings) else read.deadline_s
    assert longest == 300
    assert read.drain_s > longest


def test_the_gateway_knows_of_a_new_replica_before_an_old_one_goes_and_of_an_end_before_it_comes(
    overlay: list[Object],
) -> None:
    gateway = GatewaySettings()
    for deployment in of_kind(overlay, "Deployment"):
        read = settings_of(overlay, deployment)
        assert deployment["spec"]["minReadySeconds"] > gateway.resolve_s + DNS_TTL_S + gateway.probe_s
        assert read.drain_delay_s > 2 * gateway.probe_s


def test_a_rollout_goes_forward_and_never_takes_the_last_replica(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_without_a_spare_gpu_a_replica_goes_before_its_successor_comes(folders: dict[str, Any]) -> None:
    for deployment in of_kind(build(folders["s3-store-keda"]), "Deployment"):
        in_place = {"maxSurge": 0, "maxUnavailable": 1}
        surge = {"maxSurge": 1, "maxUnavailable": 0}
        expected = surge if service_of(deployment) == "gateway" else in_place
        assert deployment["spec"]["strategy"]["rollingUpdate"] == expected


def test_a_disruption_takes_one_replica_of_a_service_and_blocks_no_drain(overlay: list[Object]) -> None:
    deployments, budgets = of_kind(overlay, "Deployment"), of_kind(overlay, "PodDisruptionBudget")
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
    for deployment in deployments:
        labels = pod(deployment)["metadata"]["labels"]
        assert len([one for one in budgets if selects(one["spec"]["selector"], labels)]) == 1
    assert len(budgets) == len(deployments)


def test_replicas_of_a_service_spread_over_nodes_and_zones(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        spread = pod(deployment)["spec"]["topologySpreadConstraints"]
        assert [one["topologyKey"] for one in spread] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
        for one in spread:
            matching = [
                service_of(other)
                for other in of_kind(overlay, "Deployment")
                if selects(one["labelSelector"], pod(other)["metadata"]["labels"])
            ]
            assert matching == [service_of(deployment)]


def test_a_job_goes_on_after_a_lost_node_and_ends_where_trying_again_cannot_help() -> None:
    for name in ("finetune", "finetune-many"):
        (job,) = of_kind(build(K8S / "jobs" / name), "Job")
        spec = job["spec"]
        assert spec["backoffLimit"] > 0
        assert spec["activeDeadlineSeconds"] > 0 < spec["ttlSecondsAfterFinished"]
        assert spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
        assert pod(job)["spec"]["restartPolicy"] == "Never"
        assert pod(job)["metadata"]["labels"][COMPONENT] == "finetune"
        script = container(job)["args"][0]
        assert script.index("config.json") < script.index("--resume") < script.index("--output")
