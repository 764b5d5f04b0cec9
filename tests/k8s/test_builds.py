"""Every folder that can be applied builds, and what it builds is what the API server knows."""

import json
import re
import subprocess
from pathlib import Path

from shared import __version__
from tests.k8s.manifests import K8S, ROOT, SERVICES, Object, build, container, of_kind, rendered, service_of, workloads

LINTERS = ROOT / ".venv" / "linters" / "bin"
# Their schemas come with the operators that bring these kinds; the tests beside this one look into them.
FOREIGN = {
    "HTTPRoute with api version gateway.networking.k8s.io/v1",
    "PodMonitor with api version monitoring.coreos.com/v1",
    "PrometheusRule with api version monitoring.coreos.com/v1",
    "ScaledObject with api version keda.sh/v1alpha1",
}


def test_every_object_is_valid_to_the_letter_unless_its_kind_is_foreign(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    distinct = {document for folder in folders.values() for document in rendered(folder).split("\n---\n")}
    (tmp_path / "all.yaml").write_text("\n---\n".join(sorted(distinct)))
    command = [str(LINTERS / "kubernetes-validate"), "--strict", str(tmp_path / "all.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = done.stdout + done.stderr
    unknown = re.findall(r"Couldn't find schema for kind (.+) for kubernetes version", told)
    wrong = [line for line in told.splitlines() if not line.startswith("INFO") and "Couldn't find schema" not in line]
    assert done.returncode == 0, told
    assert not wrong
    assert set(unknown) <= FOREIGN
    assert len(re.findall(r"^INFO .* passed", told, re.MULTILINE)) + len(unknown) == len(distinct)


def test_nothing_is_objected_to_that_is_not_explained_beside_it(folders: dict[str, Path], tmp_path: Path) -> None:
    command = [str(LINTERS / "checkov"), "--framework", "kubernetes", "--skip-download", "--output", "json"]
    for name in ("dev", "prod", "finetune", "finetune-many", "oci-image-volume-hpa"):
        (tmp_path / f"{name}.yaml").write_text(rendered(folders[name]))
        command += ["--file", str(tmp_path / f"{name}.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["passed"] > 500
    assert [(one["check_id"], one["resource"]) for one in found["results"]["failed_checks"]] == []
    assert all(len(one["check_result"]["suppress_comment"]) > 20 for one in found["results"]["skipped_checks"])


def test_every_component_is_in_an_overlay_or_in_a_combination(folders: dict[str, Path]) -> None:
    used = {match for folder in folders.values() for match in re.findall(r"components/([\w-]+)", _text(folder))}
    assert used == {folder.name for folder in (K8S / "components").iterdir()}


def test_an_overlay_has_every_service_under_the_names_that_people_type(overlay: list[Object]) -> None:
    names = {kind: {one["metadata"]["name"] for one in of_kind(overlay, kind)} for kind in ("Deployment", "Service")}
    assert names["Deployment"] == {f"{service}-server" for service in SERVICES}
    assert names["Service"] == {f"{service}-{kind}" for service in SERVICES for kind in ("http", "headless")}


def test_everything_is_in_the_namespace_that_demands_restricted_pods(deployed: list[Object]) -> None:
    for one in deployed:
        if one["kind"] == "Namespace":
            assert one["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
            assert one["metadata"]["name"] == "ocelli"
        else:
            assert one["metadata"]["namespace"] == "ocelli"


def test_images_are_those_of_this_release_one_per_service(deployed: list[Object]) -> None:
    for workload in workloads(deployed):
        assert container(workload)["image"] == f"ocelli/{service_of(workload)}:{__version__}"


def test_the_image_of_weights_has_a_tag_too(folders: dict[str, Path]) -> None:
    for workload in workloads(build(folders["oci-image-volume-keda"])):
        for volume in workload["spec"]["template"]["spec"]["volumes"]:
            if "image" in volume:
                assert re.fullmatch(r"[\w./-]+:\d[\w.]*", volume["image"]["reference"])


def test_what_a_test_combines_is_not_what_an_overlay_is(folders: dict[str, Path]) -> None:
    assert len({rendered(folder) for folder in folders.values()}) == len(folders)


def _text(folder: Path) -> str:
    return (folder / "kustomization.yaml").read_text()
