"""The CLIP service over real HTTP, as the stock OpenAI client and others call it, with random weights."""

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from numpy.typing import NDArray

from services.clip.main import main
from services.clip.schemas import Classifications, Embeddings, LabelSetList, Similarity
from shared.settings import EXIT_CONFIG
from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.processes import Running, running
from tests.services.clip.clip_versions import picture, random_clip, write_version

PICTURES = [picture(seed) for seed in (1, 2, 3)]
BASE64 = [base64.b64encode(data).decode() for data in PICTURES]
URIS = [f"data:image/png;base64,{text}" for text in BASE64]
OWN_SETS = {"mood": {"labels": [{"label": "calm", "threshold": 0.0}, "wild"], "activation": "sigmoid"}}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The service with two versions of a random CLIP, one of which can be cut, and an operator's label set."""
    folder = tmp_path_factory.mktemp("clip")
    store = Store(f"file://{folder}/store")
    publish(store, folder / "one", "clip")
    publish(store, folder / "two", "cuttable", matryoshka_dims=[8, 16])
    own = folder / "sets.json"
    own.write_text(json.dumps(OWN_SETS))
    with running(
        "services.clip", state=folder / "state", store=store.url, models="clip@v1,cuttable@v1", label_sets=own, queue=32
    ) as process:
        yield process


def publish(store: Store, folder: Path, model: str, **config: Any) -> None:
    source = write_version(folder, random_clip(len(model)), name=model, **config)
    (source / "manifest.json").unlink()
    store.publish(source, Card(model=model, version="v1", made=Made(by="a test")))


@pytest.fixture(scope="module")
def http(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def client(service: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key="any", max_retries=0) as client:
        yield client


def array(answer: Any) -> NDArray[np.float32]:
    return np.array([one.embedding for one in answer.data], dtype=np.float32)


def post(http: httpx.Client, path: str, **body: Any) -> Any:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_stock_client_embeds_texts_as_base64_and_as_numbers_alike(client: openai.OpenAI) -> None:
    default = client.embeddings.create(model="clip", input=["red", "blue"])
    numbers = client.embeddings.create(model="clip", input=["red", "blue"], encoding_format="float")
    assert np.array_equal(array(default), array(numbers))
    assert np.linalg.norm(array(default), axis=1) == pytest.approx([1, 1], abs=1e-6)
    assert (default.object, default.model, [one.index for one in default.data]) == ("list", "clip", [0, 1])
    assert (
        default.usage.prompt_tokens == default.usage.total_tokens == (2 + 3) + (2 + 4)
    )  # one token per byte, two marks


def test_texts_and_pictures_mixed_in_one_request_come_back_in_their_order(client: openai.OpenAI) -> None:
    mixed: Any = ["red", {"image": URIS[0]}, URIS[1], {"text": "blue"}, {"image": BASE64[2]}]
    together = array(client.embeddings.create(model="clip", input=mixed))
    alone = [array(client.embeddings.create(model="clip", input=[one]))[0] for one in mixed]
    assert np.allclose(together, alone, atol=1e-5)


def test_a_modality_makes_plain_strings_pictures(client: openai.OpenAI) -> None:
    plain = client.embeddings.create(model="clip", input=BASE64, extra_body={"modality": "image"})
    assert np.allclose(array(plain), array(client.embeddings.create(model="clip", input=URIS)), atol=1e-5)
    assert plain.usage.total_tokens == 0


def test_a_body_and_a_form_of_pictures_are_embedded_as_in_json(http: httpx.Client) -> None:
    expected = [one["embedding"] for one in post(http, "/v1/embeddings", input=URIS)["data"]]
    raw = http.post("/v1/embeddings?model=clip", content=PICTURES[0], headers={"content-type": "image/png"})
    form = http.post("/v1/embeddings", files=[("image", data) for data in PICTURES], data={"encoding_format": "float"})
    assert np.allclose(raw.json()["data"][0]["embedding"], expected[0], atol=1e-5)
    assert np.allclose([one["embedding"] for one in form.json()["data"]], expected, atol=1e-5)


def test_64_texts_are_answered_though_the_queue_holds_32(client: openai.OpenAI) -> None:
    texts = [f"text {number}" for number in range(64)]
    assert len(client.embeddings.create(model="clip", input=texts).data) == 64


def test_vectors_are_cut_only_where_the_model_was_trained_for_it(client: openai.OpenAI) -> None:
    whole = array(client.embeddings.create(model="cuttable", input="red"))
    short = array(client.embeddings.create(model="cuttable", input="red", dimensions=8))
    assert short.shape == (1, 8)
    assert np.allclose(short, whole[:, :8] / np.linalg.norm(whole[:, :8]), atol=1e-6)
    assert array(client.embeddings.create(model="clip", input="red", dimensions=32)).shape == (1, 32)
    for model, dimensions in (("clip", 8), ("cuttable", 33)):
        with pytest.raises(openai.BadRequestError) as refused:
            client.embeddings.create(model=model, input="red", dimensions=dimensions)
        assert refused.value.param == "dimensions" and "32" in refused.value.message


@pytest.mark.parametrize(
    ("value", "kind", "code", "param"),
    [
        ("", openai.BadRequestError, "invalid_request", "input"),
        ([[1, 2]], openai.BadRequestError, "invalid_request", "input[0]"),
        (["a", "b" * 23], openai.BadRequestError, "text_too_long", "input[1]"),
        (["a", {"image": "https://example.com/a.png"}], openai.BadRequestError, "url_input_disabled", "input[1].image"),
        (
            [{"image": "QUJD"}],
            openai.APIStatusError,
            "unsupported_media_type",
            "input[0].image",
        ),
    ],
)
def test_the_stock_client_raises_its_own_errors_with_code_and_field(
    client: openai.OpenAI, value: Any, kind: Any, code: str, param: str
) -> None:
    with pytest.raises(openai.APIStatusError) as refused:
        client.embeddings.create(model="clip", input=value)
    assert isinstance(refused.value, kind)
    assert (refused.value.code, refused.value.param) == (code, param)
    assert refused.value.message.rstrip().endswith(".")


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        client.embeddings.create(model="gpt", input="a")
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")


def test_every_answer_tells_its_space_and_a_demand_for_another_is_a_conflict(
    client: openai.OpenAI, http: httpx.Client
) -> None:
    answer = http.post("/v1/embeddings", json={"input": "red"})
    space = answer.headers["x-embedding-space"]
    assert space == answer.json()["embedding_space"] == http.get("/v1/models/clip").json()["embedding_space"]
    met = client.embeddings.create(model="clip", input="red", extra_headers={"If-Embedding-Space": space})
    assert len(met.data) == 1
    with pytest.raises(openai.ConflictError) as refused:
        client.embeddings.create(model="cuttable", input="red", extra_headers={"If-Embedding-Space": space})
    other = http.get("/v1/models/cuttable").json()["embedding_space"]
    assert refused.value.code == "embedding_space_mismatch"
    assert space in refused.value.message and other in refused.value.message and space != other


def test_similarity_is_the_product_of_the_embeddings(http: httpx.Client) -> None:
    texts = ["red", "a, b", "blue"]
    answer = post(http, "/v1/similarity", images=URIS[:2], texts=texts)
    vectors = [one["embedding"] for one in post(http, "/v1/embeddings", input=[*texts, *URIS[:2]])["data"]]
    assert np.allclose(answer["similarity"], np.array(vectors[:3]) @ np.array(vectors[3:]).T, atol=1e-5)
    assert Similarity.model_validate(answer).usage.images == 2
    form = http.post("/v1/similarity", files=[("image", data) for data in PICTURES[:2]], data={"texts": texts})
    assert np.allclose(form.json()["similarity"], answer["similarity"], atol=1e-5)


def test_classify_is_the_softmax_of_scaled_similarities(http: httpx.Client) -> None:
    answer = post(http, "/v1/classify", images=URIS, labels=["red", "blue"], template="{} thing")
    alike = post(http, "/v1/similarity", images=URIS, texts=["red thing", "blue thing"])
    for found, cosines in zip(
        Classifications.model_validate(answer).data, zip(*alike["similarity"], strict=True), strict=True
    ):
        powers = np.exp(alike["logit_scale"] * (np.array(cosines) - max(cosines)))
        expected = dict(zip(("red", "blue"), powers / powers.sum(), strict=True))
        assert {label.label: label.score for label in found.labels} == pytest.approx(expected, abs=1e-3)


def test_one_answer_in_hugging_face_shape_for_one_picture_and_a_list_for_several(http: httpx.Client) -> None:
    parameters = {"candidate_labels": ["red", "blue"], "hypothesis_template": "{} thing"}
    one = post(http, "/v1/classify?format=hf", inputs=BASE64[0], parameters=parameters)
    native = post(http, "/v1/classify", image=BASE64[0], labels=["red", "blue"], templates=["{} thing"])
    assert one == [{"score": label["score"], "label": label["label"]} for label in native["data"][0]["labels"]]
    several = post(http, "/v1/classify?format=hf", inputs=BASE64, parameters=parameters)
    assert len(several) == 3 and several[0] == one


def test_a_picture_as_body_takes_its_question_from_the_query(http: httpx.Client) -> None:
    path = "/v1/classify?labels=red,blue,green&top_k=2&model=cuttable"
    answer = http.post(path, content=PICTURES[0], headers={"content-type": "image/png"})
    found = Classifications.model_validate(answer.json())
    assert found.model == "cuttable" and len(found.data[0].labels) == 2
    assert answer.headers["x-embedding-space"] == found.embedding_space


def test_an_operators_set_serves_beside_the_shipped_ones_and_flags(http: httpx.Client) -> None:
    listed = LabelSetList.model_validate(http.get("/v1/label-sets").json())
    assert [one.id for one in listed.data] == ["shapes", "tags", "scenes", "moderation", "mood"]
    (found,) = post(http, "/v1/classify", image=URIS[0], label_set="mood")["data"]
    assert found["flagged"] is True
    assert {label["label"]: label.get("flagged") for label in found["labels"]} == {"calm": True, "wild": None}


def test_a_question_asked_again_does_not_run_the_text_tower(http: httpx.Client, service: Running) -> None:
    def batched_items() -> float:
        lines = httpx.get(f"{service.management}/metrics").text.splitlines()
        return float(
            next(line for line in lines if line.startswith('ocelli_inference_batch_size_sum{model="clip"')).split()[-1]
        )

    first = post(http, "/v1/classify", image=URIS[0], label_set="shapes", templates=["{}", "a {}"])
    before = batched_items()
    again = post(http, "/v1/classify", image=URIS[0], label_set="shapes", templates=["{}", "a {}"])
    assert batched_items() - before == 1
    assert again["usage"] == first["usage"]
    assert [one["label"] for one in again["data"][0]["labels"]] == [one["label"] for one in first["data"][0]["labels"]]


def test_the_answer_is_what_the_page_describes(http: httpx.Client) -> None:
    for encoding in ("float", "base64"):
        body = post(http, "/v1/embeddings", input=["red", URIS[0]], encoding_format=encoding)
        assert Embeddings.model_validate(body).model_dump() == body
    paths = http.get("/openapi.json").json()["paths"]
    assert {"/v1/embeddings", "/v1/classify", "/v1/similarity", "/v1/label-sets"} <= set(paths)
    assert (
        "input" in paths["/v1/embeddings"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    )


def test_a_bad_file_of_label_sets_stops_the_start_with_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text('{"fruit": {"labels": []}}')
    monkeypatch.setattr(sys, "argv", ["clip", "--label-sets", str(bad)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == EXIT_CONFIG
    assert "OCELLI_LABEL_SETS: " in (said := capsys.readouterr().err) and "fruit.labels" in said
