"""What containers may not do, and what they may take."""

import re

from tests.k8s.manifests import Object, container, of_kind, pod, service_of, workloads

USER = 10001  # of the image


def test_pods_are_restricted(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        spec = pod(workload)["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert {spec["securityContext"][key] for key in ("runAsUser", "runAsGroup", "fsGroup")} == {USER}
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
        assert not [volume for volume in spec["volumes"] if "hostPath" in volume]


def test_containers_are_read_only_and_have_no_capability(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        assert container(workload)["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_only_the_state_and_temporary_files_can_be_written(overlay: list[Object]) -> None:
    for deployment in of_kind(overlay, "Deployment"):
        writable = {mount["mountPath"] for mount in container(deployment)["volumeMounts"] if not mount.get("readOnly")}
        assert writable <= {"/tmp", "/var/lib/ocelli", "/var/lib/ocelli/store"}
        bounded = [volume["emptyDir"] for volume in pod(deployment)["spec"]["volumes"] if "emptyDir" in volume]
        assert all("sizeLimit" in one for one in bounded)


def test_service_accounts_are_one_per_workload_and_have_no_token(deployed: list[Object]) -> None:
    accounts = {one["metadata"]["name"]: one for one in of_kind(deployed, "ServiceAccount")}
    used = [pod(workload)["spec"]["serviceAccountName"] for workload in workloads(deployed)]
    assert sorted(used) == sorted(accounts)
    assert all(one["automountServiceAccountToken"] is False for one in accounts.values())


def test_every_container_says_what_it_needs_and_the_most_that_it_takes(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        resources = container(workload)["resources"]
        for name in ("cpu", "memory"):
            assert amount(resources["requests"][name]) <= amount(resources["limits"][name]), service_of(workload)


def amount(quantity: str) -> float:
    """A Kubernetes quantity as a number."""
    match = re.fullmatch(r"(\d+)(m|Mi|Gi)?", quantity)
    assert match, quantity
    return int(match[1]) * {None: 1, "m": 0.001, "Mi": 2**20, "Gi": 2**30}[match[2]]
