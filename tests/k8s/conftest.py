"""What is deployed: each overlay and each job, as a parameter; and all stores with all autoscalers."""

from pathlib import Path

import pytest

from tests.k8s.manifests import K8S, Object, build, combine

OVERLAYS = {"dev": "overlays/dev", "prod": "overlays/prod"}
JOBS = {"finetune": "jobs/finetune", "finetune-many": "jobs/finetune-many"}
COMBINATIONS = {
    f"{store}-{scaling}": (store, scaling, "gpu", "in-place-rollout", "gateway-api")
    for store in ("pvc-store", "s3-store", "oci-image-volume")
    for scaling in ("keda", "hpa")
}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of each overlay."""
    return build(K8S / OVERLAYS[request.param])


@pytest.fixture
def prod() -> list[Object]:
    """The objects of the overlay prod."""
    return build(K8S / OVERLAYS["prod"])


@pytest.fixture
def dev() -> list[Object]:
    """The objects of the overlay dev."""
    return build(K8S / OVERLAYS["dev"])


@pytest.fixture(params=JOBS)
def job(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of each job."""
    return build(K8S / JOBS[request.param])


@pytest.fixture(params=OVERLAYS | JOBS)
def deployed(request: pytest.FixtureRequest) -> list[Object]:
    """The objects of each overlay and of each job."""
    return build(K8S / (OVERLAYS | JOBS)[request.param])


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every folder that can be applied: overlays, jobs, and the combinations of components that they do not have."""
    made = {name: combine(tmp_path_factory.mktemp(name), parts) for name, parts in COMBINATIONS.items()}
    return {name: K8S / path for name, path in (OVERLAYS | JOBS).items()} | made
