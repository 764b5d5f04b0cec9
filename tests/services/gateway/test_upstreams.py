"""Which replica gets a request, and what its answers and its probes change, with real gateways and real replicas."""

import asyncio
import concurrent.futures
import time
from pathlib import Path

import aiohttp
import httpx
import pytest
from aiohttp import web

from services.gateway.breaker import Breaker, RetryBudget
from services.gateway.health import Health
from services.gateway.replica import Replica
from services.gateway.upstreams import Outcome, Upstream
from shared.errors import Unavailable
from tests.services.gateway.stand import Stand, until
from tests.services.gateway.upstream import Upstream as Service
from tests.services.gateway.upstream import echo, failing


def upstream(count: int) -> Upstream:
    made = Upstream(
        "detection", deployed=True, breaker=lambda: Breaker(failures=5, window_s=10, open_s=5),
        budget=RetryBudget(share=0.1, floor=3), retry_after=2,
    )  # fmt: skip
    made.set_addresses((f"http://10.0.0.{number}:1", "x") for number in range(count))
    return made


def fail(service: Upstream, replica: Replica, outcome: Outcome = Outcome.ERROR, times: int = 5) -> None:
    for _ in range(times):
        service.record(replica, outcome, 0.1)


def test_the_replica_with_the_least_in_flight_is_next_and_ties_take_turns() -> None:
    service = upstream(3)
    assert {service.pick() for _ in range(3)} == set(service.replicas)
    service.replicas[0].in_flight = service.replicas[2].in_flight = 1
    assert [service.pick() for _ in range(4)] == [service.replicas[1]] * 4


def test_a_replica_that_is_not_ready_gets_nothing() -> None:
    service = upstream(2)
    service.record(service.replicas[0], Outcome.NOT_READY, 0.1)
    assert {service.pick() for _ in range(4)} == {service.replicas[1]}
    service.record(service.replicas[1], Outcome.NOT_READY, 0.1)
    with pytest.raises(Unavailable) as caught:
        service.pick()
    assert (caught.value.code, caught.value.retry_after) == ("upstream_unavailable", 2)


def test_a_replica_that_does_not_answer_in_time_is_used_where_none_is_ready_and_not_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service = upstream(2)
    busy, other = service.replicas
    service.record(busy, Outcome.UNREACHABLE, 0.1)
    assert {service.pick() for _ in range(4)} == {other}
    other.tell(ready=False)
    assert service.pick() is busy and service.state == "ok"
    monkeypatch.setattr("services.gateway.replica.DOUBT_S", 0)
    with pytest.raises(Unavailable):
        service.pick()
    busy.tell(ready=True)
    assert service.pick() is busy


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.BROKEN, Outcome.TIMEOUT])
def test_a_replica_that_keeps_failing_is_ejected(outcome: Outcome) -> None:
    service = upstream(2)
    fail(service, service.replicas[0], outcome)
    assert {service.pick() for _ in range(4)} == {service.replicas[1]}


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.OVERLOAD, Outcome.CANCELLED])
def test_what_is_not_the_replicas_fault_never_ejects_it(outcome: Outcome) -> None:
    service = upstream(2)
    fail(service, service.replicas[0], outcome, times=1000)
    assert service.replicas[0].breaker.closed


@pytest.mark.parametrize(("count", "ejected"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2)])
def test_never_more_than_half_are_ejected(count: int, ejected: int) -> None:
    service = upstream(count)
    for replica in service.replicas:
        fail(service, replica)
    assert sum(not replica.breaker.closed for replica in service.replicas) == ejected


def test_where_only_an_ejected_one_is_ready_it_is_used() -> None:
    service = upstream(2)
    fail(service, service.replicas[0])
    service.replicas[1].ready = False
    assert service.pick() is service.replicas[0]


def test_replicas_that_stay_keep_their_state() -> None:
    service = upstream(2)
    service.replicas[1].ready = False
    service.set_addresses([("http://10.0.0.1:1", "x"), ("http://10.0.0.7:1", "x")])
    assert [replica.ready for replica in service.replicas] == [False, True]


def test_one_name_stands_for_all_its_addresses() -> None:
    async def resolved() -> list[str]:
        service = upstream(0)
        health = Health(service, ["http://localhost:7"], probe_s=60, resolve_s=60)
        async with aiohttp.ClientSession() as session:
            health.start(session)
            while not service.replicas:
                await asyncio.sleep(0.01)
            await health.close()
        assert {replica.host for replica in service.replicas} == {"localhost:7"}
        return [replica.address for replica in service.replicas]

    assert "http://127.0.0.1:7" in asyncio.run(resolved())


def test_a_name_that_is_lost_keeps_the_replicas_of_before() -> None:
    async def lost() -> None:
        service = upstream(2)
        health = Health(service, ["http://no-such-name.invalid:7"], probe_s=60, resolve_s=60)
        await health._resolve(health._name)  # type: ignore[arg-type]
        assert len(service.replicas) == 2

    asyncio.run(lost())


def test_bad_requests_do_not_eject(tmp_path: Path) -> None:
    with failing(400) as service, Stand(tmp_path, service) as gateway, httpx.Client() as client:
        for _ in range(300):
            assert client.post(f"{gateway.url}/v1/detect").status_code == 400
        assert gateway.gateway.fleet.upstreams["detection"].replicas[0].breaker.closed


@pytest.mark.parametrize("code", ["model_failed", "out_of_memory", "deadline_exceeded"])
def test_a_poisonous_request_does_not_eject(tmp_path: Path, code: str) -> None:
    with failing(500, code) as service, echo() as other, Stand(tmp_path, service, other) as gateway:
        for _ in range(20):
            gateway.client.post(f"{gateway.url}/v1/detect")
        assert len(service.seen) == len(other.seen) == 10


def test_a_failing_replica_is_ejected_tried_once_and_taken_back(tmp_path: Path) -> None:
    async def healed(request: web.BaseRequest) -> web.StreamResponse:
        await bad.note(request)
        return web.Response()

    with (
        failing(500) as bad,
        echo() as good,
        Stand(tmp_path, bad, good, eject_s=0.5) as gateway,
        httpx.Client() as client,
    ):

        def post(times: int) -> list[int]:
            return sorted(client.post(f"{gateway.url}/v1/detect").status_code for _ in range(times))

        assert post(10) == [200] * 5 + [500] * 5
        assert post(20) == [200] * 20  # it is ejected
        time.sleep(0.5)
        assert post(10) == [200] * 9 + [500]  # its trial failed
        bad.answer = healed
        time.sleep(0.5)
        count = len(bad.seen)
        assert post(20) == [200] * 20
        assert len(bad.seen) - count == 10  # it has its share again


def test_a_slow_replica_gets_less(tmp_path: Path) -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await sluggish.note(request)
        await asyncio.sleep(0.5)
        return web.Response()

    with Service(slow) as sluggish, echo() as quick, Stand(tmp_path, sluggish, quick) as gateway:
        with concurrent.futures.ThreadPoolExecutor(4) as pool, httpx.Client() as client:
            list(pool.map(lambda _: client.post(f"{gateway.url}/v1/detect"), range(60)))
        assert len(sluggish.seen) <= 10 and len(quick.seen) >= 50


def test_a_probe_takes_a_replica_out_and_back(tmp_path: Path) -> None:
    with echo() as one, echo() as two, Stand(tmp_path, one, two, probe_s=0.1) as gateway:
        one.ready = False
        assert until(lambda: gateway.states() == [False, True])
        for _ in range(4):
            gateway.client.post(f"{gateway.url}/v1/detect")
        assert (len(one.seen), len(two.seen)) == (0, 4)
        one.ready = True
        assert until(lambda: gateway.states() == [True, True])


def test_no_ready_replica_is_a_503_at_once_with_a_time_to_retry(tmp_path: Path) -> None:
    with echo(ready=False) as one, Stand(tmp_path, one, probe_s=0.2) as gateway:
        assert until(lambda: gateway.states() == [False])
        began = time.monotonic()
        got = gateway.client.post(f"{gateway.url}/v1/detect", content=b"x")
        assert time.monotonic() - began < 0.5
        assert (got.status_code, got.json()["error"]["code"], got.headers["retry-after"]) == (
            503, "upstream_unavailable", "1",
        )  # fmt: skip
        assert not one.seen


def test_a_replica_that_hangs_delays_neither_readiness_nor_the_others(tmp_path: Path) -> None:
    async def hang(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    with Service(hang, ready=None) as stuck, echo() as good, Stand(tmp_path, stuck, good, probe_s=0.2) as gateway:
        began = time.monotonic()
        assert gateway.client.get(f"{gateway.url}/readyz").status_code == 200
        assert until(lambda: gateway.states() == [False, True], 2)
        assert [gateway.client.post(f"{gateway.url}/v1/detect").status_code for _ in range(10)] == [200] * 10
        assert time.monotonic() - began < 2.5


def test_a_replica_that_is_too_busy_to_be_probed_still_serves_where_it_is_the_only_one(tmp_path: Path) -> None:
    with echo(ready=None) as busy, Stand(tmp_path, busy, probe_s=0.2) as gateway:
        assert until(lambda: gateway.states() == [False], 2)
        assert [gateway.client.post(f"{gateway.url}/v1/detect").status_code for _ in range(10)] == [200] * 10


def test_the_gateway_is_ready_without_its_services_and_tells_of_each(tmp_path: Path) -> None:
    with echo(ready=False) as one, Stand(tmp_path, one, probe_s=0.1) as gateway:
        assert until(lambda: gateway.states() == [False])
        got = gateway.client.get(f"{gateway.url}/readyz?verbose")
        assert got.status_code == 200
        assert got.json()["services"] == {
            "detection": "unavailable", "clip": "not deployed", "owlvit": "not deployed", "llava": "not deployed",
        }  # fmt: skip
        assert gateway.client.get(f"{gateway.url}/healthz").json()["services"] == got.json()["services"]
        assert "services" not in gateway.client.get(f"{gateway.url}/readyz").json()
