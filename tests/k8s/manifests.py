"""The manifests as the tests see them: built by kubectl without a cluster, read as plain objects.

build(folder) -> objects -> of_kind, pods, environment
"""

import os
import subprocess
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.cli.settings import PROCESSES
from shared.settings import OcelliSettings, ProcessSettings

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
KUBECTL = ROOT / ".venv" / "bin" / "kubectl"
SERVICES = ("gateway", "detection", "clip", "owlvit", "llava")
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"

Object = dict[str, Any]


@cache
def rendered(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def build(folder: Path) -> list[Object]:
    """The objects of a folder with a kustomization; nobody changes them."""
    return [loaded for loaded in yaml.load_all(rendered(folder), yaml.CSafeLoader) if loaded]


def combine(folder: Path, components: Iterable[str]) -> Path:
    """A kustomization in `folder` of all services and these components."""
    here = os.path.relpath(K8S, folder)
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "ocelli",
        "resources": [f"{here}/base/namespace", *(f"{here}/services/{name}" for name in SERVICES)],
        "components": [f"{here}/components/{name}" for name in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return folder


def of_kind(objects: Iterable[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [found for found in objects if found["kind"] in kinds]


def named(objects: Iterable[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = [one for one in of_kind(objects, kind) if one["metadata"]["name"] == name]
    return found


def workloads(objects: Iterable[Object]) -> list[Object]:
    """What makes pods."""
    return of_kind(objects, "Deployment", "Job")


def pod(workload: Object) -> Object:
    """The pod that a workload makes: `metadata` and `spec`."""
    template: Object = workload["spec"]["template"]
    return template


def container(workload: Object) -> Object:
    """The one container of a workload."""
    (found,) = pod(workload)["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def service_of(workload: Object) -> str:
    """`clip` of the deployment `clip-server`; the job is `finetune` however many machines it has."""
    labels: Mapping[str, str] = pod(workload)["metadata"]["labels"]
    return "finetune" if labels[COMPONENT] == "finetune" else labels[NAME]


def ports(workload: Object) -> dict[str, int]:
    """The container's ports by name."""
    return {port["name"]: port["containerPort"] for port in container(workload).get("ports", ())}


def environment(objects: Iterable[Object], workload: Object) -> dict[str, str]:
    """The variables that a container starts with."""
    found: dict[str, str] = {}
    for source in container(workload).get("envFrom", ()):
        found |= named(objects, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in container(workload).get("env", ()):
        found[variable["name"]] = variable.get("value", "from-the-cluster")
    return found


def settings_class(service: str) -> type[OcelliSettings]:
    """The class of the settings that a service reads at its start."""
    for value in vars(import_module(PROCESSES[service])).values():
        if isinstance(value, type) and issubclass(value, OcelliSettings) and value.service == service:
            return value
    raise LookupError(service)


def settings_of(objects: Iterable[Object], workload: Object) -> ProcessSettings:
    """The settings that a container reads; an unknown variable or a bad value would end the test."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(objects, workload).items():
            patch.setenv(name, value)
        read = settings_class(service_of(workload)).load([])
    assert isinstance(read, ProcessSettings)
    return read
