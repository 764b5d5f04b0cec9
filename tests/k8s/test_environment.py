"""What containers are told: settings that exist, addresses that lead somewhere, secrets by name alone."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from services.finetune.settings import JobSettings
from services.gateway.settings import UPSTREAMS, GatewaySettings
from shared.settings import ServiceSettings, unknown_variables
from tests.k8s.manifests import (
    K8S,
    Object,
    build,
    container,
    environment,
    named,
    of_kind,
    pod,
    ports,
    service_of,
    settings_class,
    settings_of,
    workloads,
)
from tests.k8s.network import selects


def test_every_variable_is_a_setting_of_its_process_or_the_start_would_stop(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        told = environment(deployed, workload)
        assert not unknown_variables(settings_class(service_of(workload)), told)
        assert "OCELLI_STATE" in told


def test_ports_are_the_defaults_of_the_settings_and_the_same_in_pods_and_services(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        read = settings_of(overlay, deployment)
        expected = {"http": read.port, "management": read.management}
        assert ports(deployment) == expected
        assert read.port == settings_class(service_of(deployment)).model_fields["port"].default
        for kind in ("http", "headless"):
            spec = named(overlay, "Service", f"{service_of(deployment)}-{kind}")["spec"]
            assert {port["name"]: port["port"] for port in spec["ports"]} == expected


def test_processes_listen_where_the_kubelet_and_their_peers_can_reach_them(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        read = settings_of(overlay, deployment)
        assert (read.host, read.management_host) == ("0.0.0.0", "0.0.0.0")


def test_the_gateway_finds_every_replica_of_each_service_by_a_headless_name(overlay: list[Object]) -> None:
    gateway = settings_of(overlay, named(overlay, "Deployment", "gateway-server"))
    assert isinstance(gateway, GatewaySettings)
    assert gateway.public, "it would start without API keys"
    for upstream in UPSTREAMS:
        (address,) = gateway.upstreams[upstream]
        match = re.fullmatch(r"http://([\w-]+):(\d+)", address)
        assert match
        service = named(overlay, "Service", match[1])["spec"]
        deployment = named(overlay, "Deployment", f"{upstream}-server")
        assert service["clusterIP"] == "None"
        assert selects({"matchLabels": service["selector"]}, pod(deployment)["metadata"]["labels"])
        assert int(match[2]) == ports(deployment)["http"]


def test_a_service_stands_for_the_pods_of_its_own_name_alone(overlay: list[Object]) -> None:
    for service in of_kind(overlay, "Service"):
        chosen = [
            service_of(one)
            for one in of_kind(overlay, "Deployment")
            if selects({"matchLabels": service["spec"]["selector"]}, pod(one)["metadata"]["labels"])
        ]
        assert chosen == [service["metadata"]["name"].rsplit("-", 1)[0]]


def test_no_variable_comes_from_the_names_of_services(deployed: list[Object]) -> None:
    assert unknown_variables(ServiceSettings, {"OCELLI_CLIP_PORT": "tcp://10.0.0.1:8002"})
    assert all(pod(workload)["spec"]["enableServiceLinks"] is False for workload in workloads(deployed))


def test_gpus_and_the_bucket_are_told_to_services_and_to_nobody_else(prod: list[Object]) -> None:
    for deployment in of_kind(prod, "Deployment"):
        read = settings_of(prod, deployment)
        limits = container(deployment)["resources"]["limits"]
        if isinstance(read, ServiceSettings):
            assert (read.device, read.store, limits["nvidia.com/gpu"]) == ("cuda", "s3://ocelli-store", "1")
        else:
            assert "nvidia.com/gpu" not in limits


def test_secrets_are_files_that_the_installer_makes_and_no_manifest_has_one(deployed: list[Object]) -> None:
    readme = (K8S / "README.md").read_text()
    assert not of_kind(deployed, "Secret")
    for workload in workloads(deployed):
        mounted = {mount["name"]: mount for mount in container(workload)["volumeMounts"]}
        for volume in pod(workload)["spec"]["volumes"]:
            if "secret" in volume:
                assert f"create secret generic {volume['secret']['secretName']} " in readme
                assert volume["secret"]["defaultMode"] == 0o440
                assert mounted[volume["name"]]["readOnly"]


def test_no_value_looks_like_a_secret(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        for name, value in environment(deployed, workload).items():
            if re.search("KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL", name):
                assert value.startswith("/etc/ocelli/"), name


@pytest.mark.parametrize(("name", "replicas"), [("finetune", "detection-headless"), ("finetune-many", "clip-headless")])
def test_a_job_begins_a_run_at_first_and_goes_on_with_it_after_that(name: str, replicas: str, tmp_path: Path) -> None:
    (job,) = of_kind(build(K8S / "jobs" / name), "Job")
    script = container(job)["args"][0].replace("/var/lib/ocelli/runs", str(tmp_path))
    begun = _arguments(script, tmp_path)
    settings = JobSettings.load(begun)
    assert settings.output == tmp_path / "run-1"
    assert settings.replicas is not None
    assert settings.replicas.startswith(f"{replicas}:900")
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-1" / "config.json").write_text("{}")
    assert JobSettings.load(_arguments(script, tmp_path)).resume == tmp_path / "run-1"


def _arguments(script: str, tmp_path: Path) -> list[str]:
    """What the job's settings are read from, when the container's script runs: it is told by stand-ins in the PATH."""
    for command in ("ocelli", "torchrun"):
        stand_in = tmp_path / command
        stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$*"\n')
        stand_in.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin", "RUN": "run-1", "JOB_COMPLETION_INDEX": "0"}
    done = subprocess.run(["sh", "-euc", script], env=environ, capture_output=True, text=True, check=True)
    words = shlex.split(done.stdout)
    return words[words.index("finetune") + 2 :]
