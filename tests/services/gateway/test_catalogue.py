"""What the gateway joins: models and OpenAPI descriptions of all services; and the stock OpenAI client on top."""

import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from aiohttp import web

from services.gateway.openapi import join
from tests.services.gateway.stand import Stand, until
from tests.services.gateway.test_gate import Keyholder
from tests.services.gateway.upstream import Upstream, serving


@pytest.fixture
def clip() -> Iterator[Upstream]:
    with serving("clip") as service:
        yield service


def test_models_of_all_services_are_one_list(tmp_path: Path, clip: Upstream) -> None:
    with serving("faster-rcnn", "ssd") as detection, Stand(tmp_path, detection, clip=clip.url) as gateway:
        body = gateway.client.get(f"{gateway.url}/v1/models").json()
    assert [model["id"] for model in body["data"]] == ["faster-rcnn", "ssd", "clip"]
    assert body["unavailable"] == []


def test_a_service_that_is_down_or_hangs_hides_nobody_and_is_named(tmp_path: Path, clip: Upstream) -> None:
    with serving("ssd", ready=False) as detection, Stand(tmp_path, detection, clip=clip.url, probe_s=0.1) as gateway:
        assert until(lambda: gateway.states() == [False])
        body = gateway.client.get(f"{gateway.url}/v1/models").json()
    assert ([model["id"] for model in body["data"]], body["unavailable"]) == (["clip"], ["detection"])


def test_the_list_is_asked_for_once_for_many_callers(tmp_path: Path) -> None:
    with serving("ssd") as detection, Stand(tmp_path, detection) as gateway:
        for _ in range(10):
            gateway.client.get(f"{gateway.url}/v1/models")
        assert len(detection.seen) == 1


def test_a_model_is_described_by_the_service_that_serves_it(tmp_path: Path, clip: Upstream) -> None:
    with serving("ssd") as detection, Stand(tmp_path, detection, clip=clip.url) as gateway:
        assert gateway.client.get(f"{gateway.url}/v1/models/clip").json()["id"] == "clip"
        assert gateway.client.get(f"{gateway.url}/v1/models/ssd/labels").json()["id"] == "ssd"
        assert detection.seen[-1].target == "/v1/models/ssd/labels"
        assert clip.seen[-1].target == "/v1/models/clip"


@pytest.mark.parametrize("model", ["nothing", "../admin", "ssd/../../x", "%2e%2e", "{model}", "labels", "a" * 500])
def test_an_unknown_model_is_a_404_and_no_part_of_any_path(tmp_path: Path, model: str) -> None:
    with serving("ssd") as detection, Stand(tmp_path, detection) as gateway:
        got = gateway.client.get(f"{gateway.url}/v1/models/{model.replace('..', '%2e%2e')}")
        assert (got.status_code, got.json()["error"]["code"]) == (404, "model_not_found")
        assert {seen.target for seen in detection.seen} == {"/v1/models"}


def test_a_model_that_may_be_one_of_a_silent_service_is_a_503(tmp_path: Path, clip: Upstream) -> None:
    with serving("ssd", ready=False) as detection, Stand(tmp_path, detection, clip=clip.url, probe_s=0.1) as gateway:
        assert until(lambda: gateway.states() == [False])
        got = gateway.client.get(f"{gateway.url}/v1/models/ssd")
        assert (got.status_code, got.json()["error"]["code"]) == (503, "upstream_unavailable")


def test_the_stock_openai_client_lists_models_and_gets_its_own_errors(tmp_path: Path) -> None:
    holder = Keyholder(tmp_path)
    good, narrow, slow = holder.add(), holder.add("detect"), holder.add(rate="1/hour")
    with serving("ssd") as detection, Stand(tmp_path, detection) as gateway:

        def client(key: str) -> openai.OpenAI:
            return openai.OpenAI(api_key=key, base_url=f"{gateway.url}/v1", max_retries=0)

        with client(good) as mine:
            assert [model.id for model in mine.models.list()] == ["ssd"]
            assert mine.models.retrieve("ssd").owned_by == "ocelli"
            with pytest.raises(openai.NotFoundError) as missing:
                mine.models.retrieve("gpt-4")
            assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
            with pytest.raises(openai.InternalServerError, match="llava service is not deployed"):
                mine.chat.completions.create(model="llava", messages=[{"role": "user", "content": "hi"}])
        with client("wrong") as stranger, pytest.raises(openai.AuthenticationError):
            stranger.models.list()
        with client(narrow) as limited, pytest.raises(openai.PermissionDeniedError):
            limited.models.list()
        with client(slow) as hasty:
            hasty.models.list()
            with pytest.raises(openai.RateLimitError) as limit:
                hasty.models.list()
            assert limit.value.code == "rate_limited" and limit.value.request_id


DESCRIPTION = {
    "paths": {
        "/v1/detect": {
            "post": {"responses": {"422": {}, "200": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
            "put": {"summary": "not public"},
        },
        "/v1/models": {"get": {"summary": "List"}},
        "/internal": {"get": {"summary": "not public"}},
    },
    "components": {"schemas": {"Answer": {"properties": {"box": {"$ref": "#/components/schemas/Box"}}}, "Box": {}}},
}


def test_descriptions_are_joined_without_private_routes_and_without_mixing_schemas() -> None:
    joined = join({"detection": DESCRIPTION, "clip": DESCRIPTION | {"paths": {}}})
    assert {(path, method) for path, methods in joined["paths"].items() for method in methods} == {
        ("/v1/detect", "post"),
        ("/v1/models", "get"),
    }
    detect = joined["paths"]["/v1/detect"]["post"]
    assert detect["responses"]["200"]["schema"] == {"$ref": "#/components/schemas/detection.Answer"}
    assert detect["responses"].keys() == {"200", "401", "403", "429", "502", "503", "504"}
    assert (detect["security"], detect["x-scope"]) == ([{"key": []}], "detect")
    assert set(joined["components"]["schemas"]) == {"detection.Answer", "detection.Box", "clip.Answer", "clip.Box"}
    assert (
        joined["components"]["schemas"]["clip.Answer"]["properties"]["box"]["$ref"] == "#/components/schemas/clip.Box"
    )


def test_the_joined_description_is_served_and_kept_for_a_while(tmp_path: Path) -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await service.note(request)
        return web.json_response(DESCRIPTION)

    with Upstream(answer) as service, Stand(tmp_path, service) as gateway:
        began = time.monotonic()
        documents = [gateway.client.get(f"{gateway.url}/openapi.json").json() for _ in range(5)]
        assert time.monotonic() - began < 5
        assert documents[0]["paths"].keys() == {"/v1/detect", "/v1/models"}
        assert [seen.target for seen in service.seen] == ["/openapi.json"]
