"""The stack as `docker compose up` brings it: true answers, and no right that it does not need."""

import json
import re
import shlex

import httpx
import pytest

from tests.docker.stack import MANAGEMENT, MODEL_SERVICES, PROJECT, Stack, run, wait_until
from tests.processes import ROOT

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1200)]
ALL = ("gateway", *MODEL_SERVICES)
README = (ROOT / "README.md").read_text()
LINES = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
CURLS = [line for line in LINES if line.startswith("curl ") and "localhost:8000" in line]


@pytest.mark.parametrize("line", CURLS, ids=range(len(CURLS)))
def test_a_line_of_the_readme_is_answered(stack: Stack, line: str) -> None:
    asked = line.replace("localhost:8000", f"127.0.0.1:{stack.port}").replace("curl ", "curl --silent --fail ", 1)
    assert run("bash", "-c", asked)


def test_the_first_answers_are_true(stack: Stack) -> None:
    def post(path: str, *form: str) -> str:
        return run("bash", "-c", shlex.join(["curl", "-s", "--fail", *form, f"{stack.url}{path}"]))

    found = json.loads(post("/v1/detect?format=hf", "-F", "image=@examples/scene.jpg"))
    assert {one["label"] for one in found} == {"square", "diamond", "circle", "triangle", "hexagon"}
    best = json.loads(post("/v1/classify", "-F", "image=@examples/query.png", "-F", "label_set=shapes"))
    assert best["data"][0]["labels"][0]["label"] == "circle"
    hearts = json.loads(post("/v1/detect/open", "-F", "image=@examples/shapes.jpg", "-F", "labels=blue heart"))
    assert [one["label"] for one in hearts["data"]] == ["blue heart"]
    chat = next(line for line in CURLS if "How many cyan" in line).replace("localhost:8000", f"127.0.0.1:{stack.port}")
    answer = json.loads(run("bash", "-c", chat.replace("curl ", "curl -s ", 1)))
    assert answer["choices"][0]["message"]["content"] == "Two."


@pytest.mark.parametrize("service", ALL)
def test_a_container_has_no_rights(stack: Stack, service: str) -> None:
    status = stack.compose("exec", "-T", service, "cat", "/proc/1/status")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert fields["Uid"].split() == ["10001"] * 4 and fields["Gid"].split() == ["10001"] * 4
    assert {fields[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert fields["NoNewPrivs"].strip() == "1"
    host = stack.inspect(service)["HostConfig"]
    assert host["ReadonlyRootfs"] and host["Memory"] > 0 and host["NanoCpus"] > 0 and host["PidsLimit"] > 0
    assert not host["Privileged"] and "no-new-privileges:true" in host["SecurityOpt"]


def test_nothing_but_the_gateways_port_is_published_and_that_on_this_machine_alone(stack: Stack) -> None:
    published = {
        service: {port: found for port, found in stack.inspect(service)["NetworkSettings"]["Ports"].items() if found}
        for service in ALL
    }
    own = [{"HostIp": "127.0.0.1", "HostPort": str(stack.port)}]
    assert published == {service: {"8000/tcp": own} if service == "gateway" else {} for service in ALL}


def test_a_service_cannot_leave_its_network(stack: Stack) -> None:
    outside = stack.inspect("gateway")["NetworkSettings"]["Networks"][f"{PROJECT}_edge"]["IPAddress"]
    reach = (
        "import socket, sys; s = socket.socket(); s.settimeout(3);"
        f"sys.stdout.write('reached' if s.connect_ex(('{outside}', 8000)) == 0 else 'not')"
    )
    assert stack.compose("exec", "-T", "gateway", "python", "-c", reach) == "reached"
    reached = {service: stack.compose("exec", "-T", service, "python", "-c", reach) for service in MODEL_SERVICES}
    assert reached == dict.fromkeys(MODEL_SERVICES, "not")


def test_the_gateway_sees_neither_weights_nor_the_admin_key(stack: Stack) -> None:
    assert "store" in stack.compose("exec", "-T", "clip", "ls", "/var/lib/ocelli")
    assert "admin.key" not in stack.compose("exec", "-T", "gateway", "ls", "-A", "/var/lib/ocelli")


def test_the_admin_surface_wants_its_key_even_inside(stack: Stack) -> None:
    code = (
        "import http.client; c = http.client.HTTPConnection('clip', 9002); c.request('GET', '/admin/weights');"
        "print(c.getresponse().status)"
    )
    assert stack.compose("exec", "-T", "gateway", "python", "-c", code).strip() == "401"


def test_services_that_began_at_once_on_an_empty_volume_filled_it_once(stack: Stack) -> None:
    listed = stack.compose("exec", "-T", "clip", "ocelli", "models", "verify", "--all")
    assert "shapes" in listed
    left = stack.compose("exec", "-T", "clip", "find", "/var/lib/ocelli/store", "-name", ".*", "-type", "d")
    assert not left, "nothing half made is left behind"


def test_health_is_readiness(stack: Stack) -> None:
    container = stack.containers("clip")[0]
    run("docker", "exec", container, "python", "-IS", "/app/docker/healthcheck.py")
    with pytest.raises(AssertionError):
        port = f"OCELLI_MANAGEMENT_PORT={MANAGEMENT['clip'] + 10}"
        run("docker", "exec", "--env", port, container, "python", "-IS", "/app/docker/healthcheck.py")


def test_keys_that_are_made_in_the_stack_are_wanted_from_then_on(stack: Stack) -> None:
    try:
        made = stack.compose("exec", "-T", "gateway", "ocelli", "keys", "create", "--name", "me")
        key = next(word for word in made.split() if word.startswith("ocelli_"))
        assert httpx.get(f"{stack.url}/v1/models", headers={"authorization": f"Bearer {key}"}).status_code == 200
    finally:
        stack.compose("exec", "-T", "gateway", "rm", "/var/lib/ocelli/keys.json")
        stack.compose("restart", "gateway")
        wait_until(stack.all_ready, 30)
