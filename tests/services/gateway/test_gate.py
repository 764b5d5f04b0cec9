"""Who may come in: every route with every kind of key, rates, guessing, and rotation without a restart."""

import http.client
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from services.gateway.limits import network
from services.gateway.routes import ROUTES, Route
from shared import keys
from tests.services.gateway.stand import Stand, until
from tests.services.gateway.upstream import Upstream, echo

KEYED = [route for route in ROUTES if route.scope]
OPEN = [route for route in ROUTES if not route.scope]
PAST = datetime(2020, 1, 1, tzinfo=UTC)


class Keyholder:
    """A file of keys in the state folder of a gateway."""

    def __init__(self, state: Path) -> None:
        self.path = state / "keys.json"
        self.entries: list[keys.Key] = []

    def add(self, *scopes: str, rate: str | None = None, **changes: object) -> str:
        text, entry = keys.create(name="test", scopes=scopes or ("*",), rate=rate)
        self.entries.append(entry.model_copy(update=changes))
        keys.write(self.path, self.entries)
        return text


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    with echo() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def holder(tmp_path_factory: pytest.TempPathFactory) -> Keyholder:
    return Keyholder(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="module")
def offers(holder: Keyholder) -> dict[str, str]:
    """Keys by kind; the garbage has the id of a real key, whose owner it does not become."""
    good = holder.add()
    return {
        "ok": good,
        "expired": holder.add(expires=PAST),
        "revoked": holder.add(revoked=PAST),
        "garbage": good[:-4] + "0000",
        "unknown id": "ocelli_0123456789ab_" + "0" * 64,
        "nonsense": "sk-123",
        "empty": "",
        **{f"only {scope}": holder.add(scope) for scope in keys.SCOPES},
    }


@pytest.fixture(scope="module")
def gateway(service: Upstream, holder: Keyholder, offers: dict[str, str]) -> Iterator[Stand]:
    with Stand(holder.path.parent, service, wrong_keys="100000/minute") as stand:
        yield stand


def ask(gateway: Stand, route: Route, key: str | None, scheme: str = "Bearer") -> httpx.Response:
    headers = {} if key is None else {"authorization": f"{scheme} {key}".strip()}
    path = route.path.replace("{model}", "detection")
    return gateway.client.request(route.method, gateway.url + path, headers=headers)


def test_every_route_declares_a_scope_that_exists_or_is_open_on_purpose() -> None:
    assert {route.path for route in OPEN} == {"/", "/docs", "/docs/docs.css", "/docs/docs.js", "/openapi.json"}
    assert {route.scope for route in KEYED} == set(keys.SCOPES)


@pytest.mark.parametrize("route", KEYED, ids=lambda route: f"{route.method} {route.path}")
def test_a_keyed_route_lets_in_keys_of_its_scope_and_no_others(
    gateway: Stand, offers: dict[str, str], service: Upstream, route: Route
) -> None:
    def code(kind: str | None) -> tuple[int, str]:
        answer = ask(gateway, route, None if kind is None else offers[kind])
        return answer.status_code, answer.json()["error"]["code"]

    count = len(service.seen)
    assert code(None) == (401, "missing_api_key")
    for kind in ("expired", "revoked", "garbage", "unknown id", "nonsense", "empty"):
        assert code(kind) == (401, "invalid_api_key")
    for scope in set(keys.SCOPES) - {route.scope}:
        assert code(f"only {scope}") == (403, "insufficient_scope")
    assert len(service.seen) == count
    for kind in ("ok", f"only {route.scope}"):
        assert ask(gateway, route, offers[kind]).status_code not in {401, 403}


@pytest.mark.parametrize("route", OPEN, ids=lambda route: route.path)
def test_an_open_route_asks_for_no_key(gateway: Stand, route: Route) -> None:
    assert ask(gateway, route, None).status_code in {200, 307}


def test_probes_ask_for_no_key(gateway: Stand) -> None:
    assert gateway.client.get(f"{gateway.url}/readyz").status_code == 200


@pytest.mark.parametrize(("scheme", "status"), [("bearer", 200), ("BEARER", 200), ("Basic", 401), ("", 401)])
def test_the_scheme_is_bearer_in_any_case(gateway: Stand, offers: dict[str, str], scheme: str, status: int) -> None:
    answer = ask(gateway, KEYED[0], offers["ok"], scheme)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    "path", ["//v1/detect", "/v1/detect/..", "/v1/%64etect", "/v1/detect%2f", "/v1/detect;a", "/docs/../v1/detect"]
)
def test_no_spelling_of_a_path_gets_around_the_key(gateway: Stand, service: Upstream, path: str) -> None:
    count = len(service.seen)
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
    connection.request("POST", path, headers={"host": "x/docs?"})
    assert connection.getresponse().status in {401, 404}
    connection.close()
    assert len(service.seen) == count


def test_an_upload_with_a_wrong_key_gets_its_answer_and_not_a_reset(gateway: Stand) -> None:
    with httpx.Client() as client:
        for _ in range(50):
            assert client.post(f"{gateway.url}/v1/detect", content=b"x" * 300_000).status_code == 401


def test_keys_are_hashed_at_rest_and_for_their_owner_alone(holder: Keyholder, offers: dict[str, str]) -> None:
    text = holder.path.read_text()
    for key in offers.values():
        if key.startswith("ocelli_"):
            assert key.split("_")[2] not in text
    assert stat.S_IMODE(holder.path.stat().st_mode) == 0o600


def test_a_key_rotates_without_a_restart(tmp_path: Path) -> None:
    holder = Keyholder(tmp_path)
    old = holder.add()
    with echo() as service, Stand(tmp_path, service) as gateway:

        def status(key: str) -> int:
            return ask(gateway, KEYED[0], key).status_code

        assert status(old) == 200
        new = holder.add()
        assert until(lambda: status(new) == 200, 3) and status(old) == 200  # both are valid for a while
        holder.entries[0] = holder.entries[0].model_copy(update={"revoked": PAST})
        keys.write(holder.path, holder.entries)
        assert until(lambda: status(old) == 401, 3) and status(new) == 200


def test_a_file_that_becomes_unreadable_or_empty_opens_nothing(tmp_path: Path) -> None:
    holder = Keyholder(tmp_path)
    good = holder.add()
    with echo() as service, Stand(tmp_path, service) as gateway:
        holder.path.write_text("{ this is not")
        time.sleep(0.6)
        assert ask(gateway, KEYED[0], None).status_code == 401
        assert ask(gateway, KEYED[0], good).status_code == 200
        keys.write(holder.path, [])
        assert until(lambda: ask(gateway, KEYED[0], good).status_code == 401, 3)
        assert ask(gateway, KEYED[0], None).status_code == 401


def test_a_first_key_closes_a_gateway_that_was_open(tmp_path: Path) -> None:
    with echo() as service, Stand(tmp_path, service) as gateway:
        assert ask(gateway, KEYED[0], None).status_code == 200
        good = Keyholder(tmp_path).add()
        assert until(lambda: ask(gateway, KEYED[0], None).status_code == 401, 3)
        assert ask(gateway, KEYED[0], good).status_code == 200


def test_the_rate_of_a_key_is_exact_and_told_on_every_answer(tmp_path: Path) -> None:
    holder = Keyholder(tmp_path)
    slow, other = holder.add(rate="5/minute"), holder.add()
    with echo() as service, Stand(tmp_path, service, rate="7/minute") as gateway:
        answers = [ask(gateway, KEYED[0], slow) for _ in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
        left = [int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers]
        assert left == [4, 3, 2, 1, 0, 0, 0, 0]
        assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"5"}
        assert all(0 < int(answer.headers["x-ratelimit-reset-requests"][:-1]) <= 60 for answer in answers)
        assert all(0 < int(answer.headers["retry-after"]) <= 30 for answer in answers[5:])
        assert answers[5].json()["error"] | {"message": ""} == {
            "message": "", "type": "rate_limit_error", "param": None, "code": "rate_limited",
        }  # fmt: skip
        assert len(service.seen) == 5
        assert [ask(gateway, KEYED[0], other).status_code for _ in range(8)] == [200] * 7 + [429]


def test_an_error_of_the_gateway_tells_the_quota_too(tmp_path: Path) -> None:
    key = Keyholder(tmp_path).add(rate="5/minute")
    with echo(ready=False) as service, Stand(tmp_path, service, probe_s=0.1) as gateway:
        assert until(lambda: gateway.states() == [False])
        answer = ask(gateway, KEYED[0], key)
        assert (answer.status_code, answer.headers["x-ratelimit-remaining-requests"]) == (503, "4")


def test_a_rate_is_free_again_after_its_time(tmp_path: Path) -> None:
    key = Keyholder(tmp_path).add(rate="2/second")
    with echo() as service, Stand(tmp_path, service) as gateway:
        assert [ask(gateway, KEYED[0], key).status_code for _ in range(3)] == [200, 200, 429]
        time.sleep(1.1)
        assert ask(gateway, KEYED[0], key).status_code == 200


def test_who_guesses_keys_is_told_to_wait_and_hurts_nobody_else(tmp_path: Path) -> None:
    good = Keyholder(tmp_path).add()
    with echo() as service, Stand(tmp_path, service) as gateway:
        guesses = [ask(gateway, KEYED[0], f"ocelli_{n:012x}_" + "0" * 64).status_code for n in range(25)]
        assert guesses == [401] * 20 + [429] * 5
        assert ask(gateway, KEYED[0], good).status_code == 200


def test_without_keys_on_this_machine_there_is_no_rate(tmp_path: Path) -> None:
    with echo() as service, Stand(tmp_path, service, rate="1/minute") as gateway:
        answers = [ask(gateway, KEYED[0], None) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert not any("x-ratelimit-limit-requests" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("client", "person"),
    [
        (("10.1.2.3", 5), "10.1.2.3"),
        (("2001:db8:1:2:3:4:5:6", 5), "2001:db8:1:2::/64"),
        (("2001:db8:1:2:ffff::", 9), "2001:db8:1:2::/64"),
        (None, "unknown"),
    ],
)
def test_guesses_are_counted_per_person(client: tuple[str, int] | None, person: str) -> None:
    assert network(client) == person


def test_a_key_that_expires_is_refused_from_that_moment(tmp_path: Path) -> None:
    key = Keyholder(tmp_path).add(expires=datetime.now(UTC) + timedelta(seconds=1))
    with echo() as service, Stand(tmp_path, service) as gateway:
        assert ask(gateway, KEYED[0], key).status_code == 200
        time.sleep(1.1)
        assert ask(gateway, KEYED[0], key).json()["detail"] == "This API key is expired. Ask for a new one."
