"""What the files of Compose promise, read without an engine: variables, rights, times."""

import re
from typing import Any

import pytest
import yaml

import shared
from tests.processes import ROOT

TEXTS = {name: (ROOT / name).read_text() for name in ("docker-compose.yml", "docker-compose.gpu.yml")}
COMPOSE: dict[str, Any] = yaml.safe_load(TEXTS["docker-compose.yml"])
GPU: dict[str, Any] = yaml.safe_load(TEXTS["docker-compose.gpu.yml"])
OURS = {name: service for name, service in COMPOSE["services"].items() if "build" in service}
SERVING = [name for name in OURS if name != "finetune"]


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_every_variable_is_explained_and_has_the_default_that_is_told() -> None:
    used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", "".join(TEXTS.values())))
    told = dict(re.findall(r"^#? ?(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert used == told
    assert used.keys() == set(re.findall(r"\$\{?(\w+)", "".join(TEXTS.values()))), "each has a default"


def test_images_carry_the_version_of_the_code() -> None:
    assert COMPOSE["services"]["gateway"]["image"] == f"ocelli/gateway:${{TAG:-{shared.__version__}}}"
    assert f"\nARG VERSION={shared.__version__}\n" in (ROOT / "docker/Dockerfile").read_text()


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_a_container_starts_without_rights(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] and service["cap_drop"] == ["ALL"] and service["tmpfs"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].split(":")[0]) > 0
    assert {"cpus", "memory", "pids"} == service["deploy"]["resources"]["limits"].keys()
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "3"}


def test_without_a_profile_only_the_gateway_is_published() -> None:
    default = {name: service for name, service in COMPOSE["services"].items() if "profiles" not in service}
    assert [name for name, service in default.items() if "ports" in service] == ["gateway"]
    assert [name for name, service in default.items() if "edge" in service["networks"]] == ["gateway"]
    assert COMPOSE["networks"]["services"] == {"internal": True}


def test_what_a_profile_publishes_is_for_this_machine_alone() -> None:
    behind = [service for service in COMPOSE["services"].values() if "profiles" in service]
    assert all(port.startswith("127.0.0.1:") for service in behind for port in service.get("ports", ()))


@pytest.mark.parametrize("name", SERVING)
def test_the_engine_waits_longer_than_a_process_may_drain(name: str) -> None:
    service = OURS[name]
    own = service.get("environment", {})
    drain = float(own.get(f"OCELLI_{name.upper()}__DRAIN_S", 25)) + float(own.get("OCELLI_DRAIN_DELAY_S", 0))
    assert seconds(service["stop_grace_period"]) > drain


def test_a_stopped_replica_goes_on_until_the_gateway_has_noticed() -> None:
    probe = float(OURS["gateway"]["environment"]["OCELLI_GATEWAY__PROBE_S"])
    for name in set(SERVING) - {"gateway"}:
        assert float(OURS[name]["environment"]["OCELLI_DRAIN_DELAY_S"]) > 1.5 * probe + 1


def test_a_broken_service_does_not_keep_the_gateway_from_starting() -> None:
    waits = OURS["gateway"]["depends_on"]
    assert waits.keys() == set(SERVING) - {"gateway"}
    assert all(each == {"condition": "service_healthy", "required": False} for each in waits.values())


def test_with_gpus_every_process_that_has_torch_gets_one_or_does_not_start() -> None:
    assert GPU["services"].keys() == OURS.keys() - {"gateway"}
    for service in GPU["services"].values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["driver"] == "nvidia" and device["capabilities"] == ["gpu"]
        assert service["environment"]["OCELLI_DEVICE"] == "cuda"
