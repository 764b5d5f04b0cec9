"""The images: what is in them, who they run as, and what they have alike."""

import pytest

import shared
from tests.docker.stack import MODEL_SERVICES, Stack, inspect, run

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]
ALL = ("gateway", *MODEL_SERVICES, "finetune")
COMPILERS = ("gcc", "cc", "g++", "clang", "make", "ld")


def image(service: str) -> str:
    return f"ocelli/{service}:{shared.__version__}"


def inside(service: str, code: str) -> str:
    """What Python says in a container without network, rights or a writable root."""
    rights = ("--read-only", "--cap-drop", "ALL", "--network", "none")
    return run("docker", "run", "--rm", *rights, "--entrypoint", "python", image(service), "-c", code).strip()


def test_the_gateway_is_small_and_has_no_torch(stack: Stack) -> None:
    assert inspect(image("gateway"))["Size"] < 250_000_000
    code = "import importlib.util as u; print([n for n in ('torch', 'numpy', 'PIL', 'transformers') if u.find_spec(n)])"
    assert inside("gateway", code) == "[]"


def test_the_services_share_every_large_layer(stack: Stack) -> None:
    layers = [inspect(image(service))["RootFS"]["Layers"] for service in MODEL_SERVICES]
    assert all(each[:-1] == layers[0][:-1] for each in layers), "only the code's layer may differ"
    assert inspect(image("finetune"))["RootFS"]["Layers"][: len(layers[0]) - 1] == layers[0][:-1]


@pytest.mark.parametrize("service", ALL)
def test_an_image_tells_what_it_is(stack: Stack, service: str) -> None:
    config = inspect(image(service))["Config"]
    labels = config["Labels"]
    assert labels["org.opencontainers.image.title"] == f"ocelli-{service}"
    assert labels["org.opencontainers.image.version"] == shared.__version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert "org.opencontainers.image.source" in labels
    assert f"OCELLI_REVISION={labels['org.opencontainers.image.revision']}" in config["Env"], "for ocelli_build_info"


@pytest.mark.parametrize("service", ALL)
def test_an_image_runs_as_nobody_in_particular_and_stops_in_order(stack: Stack, service: str) -> None:
    config = inspect(image(service))["Config"]
    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["entry"], "the exec form: signals reach the process"
    assert config["Healthcheck"]["Test"][0] == "CMD"


@pytest.mark.parametrize("service", ["gateway", "clip", "finetune"])
def test_an_image_has_no_compiler_and_no_installer(stack: Stack, service: str) -> None:
    code = f"import shutil; print([n for n in {(*COMPILERS, 'uv', 'curl')} if shutil.which(n)])"
    assert inside(service, code) == "[]"


@pytest.mark.parametrize("service", ALL)
def test_nothing_but_the_state_can_be_written_by_an_images_user(stack: Stack, service: str) -> None:
    code = (
        "import os; print([d for d, _, _ in os.walk('/') if os.access(d, os.W_OK)"
        " and not d.startswith(('/proc', '/dev', '/sys'))])"
    )
    assert inside(service, code) == "['/var/lib/ocelli']"


def test_a_gateway_that_nobody_told_where_it_is_published_does_not_start_without_keys(stack: Stack) -> None:
    code = "import subprocess, sys; sys.exit(subprocess.run(['entry']).returncode != 78)"
    inside("gateway", code)
