"""What images install is what we test with: the versions and hashes of requirements.lock, and no more than needed."""

import re
import tomllib

import pytest

from tests.processes import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = {
    "gateway": ("tracing",),
    "models": ("tracing", "models", "openvino", "s3"),
    "finetune": ("tracing", "models", "openvino", "s3", "train"),
}
HEAVY = {"torch", "torchvision", "transformers", "numpy", "pillow", "triton", "botocore"}


def packages(path: str) -> dict[str, tuple[str, frozenset[str]]]:
    """The packages of a lock: name -> version, hashes."""
    entries = re.split(r"^(?=[\w.\-]+(?:\[[\w,\-]+\])?==)", (ROOT / path).read_text(), flags=re.MULTILINE)[1:]
    found = {}
    for entry in entries:
        name, version = re.match(r"([\w.\-]+)(?:\[[\w,\-]+\])?==(\S+)", entry).groups()  # type: ignore[union-attr]
        found[name] = version, frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


LOCKS = {image: packages(f"docker/locks/{image}.txt") for image in EXTRAS}
TESTED = packages("requirements.lock")


@pytest.mark.parametrize("image", EXTRAS)
def test_an_image_installs_the_versions_and_files_that_we_test_with(image: str) -> None:
    drifted = {name for name, pinned in LOCKS[image].items() if TESTED.get(name) != pinned}
    assert not drifted, "write the locks anew: make lock"
    assert all(hashes for _, hashes in LOCKS[image].values())


@pytest.mark.parametrize("image", EXTRAS)
def test_an_image_installs_all_that_its_processes_import(image: str) -> None:
    wanted = [*PROJECT["dependencies"], *(line for e in EXTRAS[image] for line in PROJECT["optional-dependencies"][e])]
    names = {re.split(r"[\[<>=!~; ]", line)[0] for line in wanted}
    assert names <= LOCKS[image].keys(), "write the locks anew: make lock"


def test_the_gateway_installs_nothing_of_the_models() -> None:
    assert not HEAVY & LOCKS["gateway"].keys()


def test_the_job_adds_to_what_the_services_have() -> None:
    assert LOCKS["gateway"].items() <= LOCKS["models"].items() <= LOCKS["finetune"].items()


@pytest.mark.parametrize("lock", ["gateway", "models", "finetune", "uv"])
def test_a_lock_names_no_place_to_fetch_from(lock: str) -> None:
    assert "://" not in (ROOT / f"docker/locks/{lock}.txt").read_text()
