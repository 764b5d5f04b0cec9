"""The stack under load, while containers die, come and go: what is lost, and that it is nothing where we say so.

`DOCKER_RATE` requests a second and `DOCKER_STREAMS` streams; `DOCKER_ROUNDS` rolling restarts of every service.
"""

import os
import time

import pytest

from tests.docker.crowd import crowd
from tests.docker.stack import MODEL_SERVICES, Stack, crash, run, wait_until

ROUNDS = int(os.environ.get("DOCKER_ROUNDS", "1"))
RATE = float(os.environ.get("DOCKER_RATE", "10"))
STREAMS = int(os.environ.get("DOCKER_STREAMS", "3"))

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900 + 300 * ROUNDS)]


@pytest.mark.parametrize("service", MODEL_SERVICES)
def test_a_crash_of_one_of_two_replicas_costs_no_request_and_is_mended(stack: Stack, service: str) -> None:
    stack.scale(service, 2)
    victim = stack.containers(service)[0]
    with crowd(stack.url, rate=RATE, asks=service) as asked:
        time.sleep(2)
        crash(victim)
        wait_until(lambda: stack.ready(service) == 1, 20)
        wait_until(lambda: stack.ready(service) == 2, 120)
    stack.scale(service, 1)
    assert asked.failures == []
    assert sum(asked.counts.values()) > 2 * RATE


def test_a_crash_of_the_only_replica_costs_what_is_asked_until_it_is_back_and_says_so(stack: Stack) -> None:
    with crowd(stack.url, rate=RATE, asks="clip") as asked:
        time.sleep(2)
        crash(stack.containers("clip")[0])
        wait_until(lambda: stack.ready("clip") == 0, 20)
        wait_until(lambda: stack.ready("clip") == 1, 120)
        failed, since = len(asked.failures), sum(asked.counts.values())
        time.sleep(3)
    assert 0 < failed == len(asked.failures) and sum(asked.counts.values()) > since
    codes = ("upstream_unavailable", "upstream_failed", "not_ready", "draining")
    assert all(" 50" in failure and any(code in failure for code in codes) for failure in asked.failures)


def test_the_gateway_comes_back_by_itself(stack: Stack) -> None:
    crash(stack.containers("gateway")[0])
    wait_until(stack.all_ready, 60)
    assert stack.inspect("gateway")["RestartCount"] == 1


def test_replicas_come_and_go_and_no_request_is_lost(stack: Stack) -> None:
    with crowd(stack.url, rate=RATE, streams=STREAMS) as asked:
        stack.scale("clip", 2)
        time.sleep(3)
        both = [run("docker", "logs", container) for container in stack.containers("clip")]
        stack.scale("clip", 1)
        time.sleep(3)
    assert asked.failures == []
    assert len(both) == 2 and all("/v1/embeddings" in log for log in both), "the gateway found the second by itself"


def test_a_rolling_restart_of_every_service_loses_no_request(stack: Stack) -> None:
    before = {service: stack.containers(service) for service in MODEL_SERVICES}
    with crowd(stack.url, rate=RATE, streams=STREAMS) as asked:
        for _ in range(ROUNDS):
            run("docker/rolling-restart", seconds=600, environment=stack.environment)
    print(f"{ROUNDS} rounds: {dict(asked.counts)}, {len(asked.failures)} failed")
    assert asked.failures == []
    assert asked.counts["stream"] > 0 and all(before[s] != stack.containers(s) for s in MODEL_SERVICES)
