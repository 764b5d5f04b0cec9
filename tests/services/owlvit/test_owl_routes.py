"""`POST /v1/detect/open` of a real process with small random weights: every way to ask, and every shape of answer."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from services.owlvit.model import ImageQuery, Parameters
from shared.weights.manifest import Card, Made
from shared.weights.store import Store
from tests.processes import running
from tests.services.owlvit.owls import FILES, LABELS, PICTURES, ask, detector, run, version

PATH = "/v1/detect/open"
HEIGHT, WIDTH = PICTURES[0].shape[:2]
RAW = {"content-type": "image/png"}
ALL = {"threshold": 0, "max_detections": 300, "template": "{}"}


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service, which serves `version("owlvit")`."""
    state = tmp_path_factory.mktemp("state")
    store = Store(str(state / "store"))
    store.publish(version("owlvit"), Card(model="owlvit", version="random-1", made=Made(by="a test")))
    with (
        running("services.owlvit", state=state, store=f"file://{state}/store", models="owlvit@random-1") as service,
        httpx.Client(base_url=service.url, timeout=30, trust_env=False) as client,
    ):
        yield client


def found(client: httpx.Client, **fields: Any) -> list[dict[str, Any]]:
    """The objects in the answer to a JSON request about the first picture."""
    answer = client.post(PATH, json={"image": text(FILES[0]), **fields})
    assert answer.status_code == 200, answer.text
    objects: list[dict[str, Any]] = answer.json()["data"]
    return objects


def test_the_answer_has_the_shape_and_the_boxes_of_detection(client: httpx.Client) -> None:
    answer = client.post(PATH, json={"image": text(FILES[0]), "labels": [*LABELS], **ALL})
    body = answer.json()
    (expected,) = run(detector(), FILES[:1], ask(*LABELS))
    assert (body["object"], body["model"], body["model_version"]) == ("detection", "owlvit", "random-1")
    assert body["image"] == {"width": WIDTH, "height": HEIGHT}
    assert [(o["label"], o["label_id"]) for o in body["data"]] == [(o.label, o.label_id) for o in expected.items]
    assert [o["score"] for o in body["data"]] == pytest.approx([o.score for o in expected.items], abs=1e-4)
    assert [*body["data"][0]["box"].values()] == pytest.approx(expected.items[0].box, abs=0.01)
    assert answer.headers["x-model-version"] == "random-1"
    assert answer.headers["x-weights-digest"].startswith("sha256:")


def test_labels_come_by_query_form_and_json_under_any_of_their_names(client: httpx.Client) -> None:
    expected = found(client, labels=["cat", "dog"])
    picture = {"image": ("a.png", FILES[0], "image/png")}
    answers = [
        client.post(f"{PATH}?labels=cat,dog", content=FILES[0], headers=RAW),
        client.post(f"{PATH}?labels=cat&labels=dog", content=FILES[0], headers=RAW),
        client.post(f"{PATH}?candidate_labels=cat, dog", content=FILES[0], headers=RAW),
        client.post(PATH, files=picture, data={"labels": "cat,dog"}),
        client.post(PATH, files=picture, data={"queries": ["cat", "dog"]}),
        client.post(PATH, files=picture, data={"labels": json.dumps(["cat", {"label": "dog"}])}),
        client.post(PATH, json={"image": text(FILES[0]), "text": ["cat", "dog"]}),
        client.post(PATH, json={"inputs": text(FILES[0]), "parameters": {"candidate_labels": ["cat", "dog"]}}),
    ]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert all(answer.json()["data"] == expected for answer in answers)


def test_one_string_is_one_label(client: httpx.Client) -> None:
    assert found(client, labels="cat", **ALL) == found(client, labels=["cat"], **ALL)


def test_a_template_of_the_request_replaces_the_versions(client: httpx.Client) -> None:
    plain = found(client, labels=["cat"], threshold=0)
    assert found(client, labels=["a photo of a cat"], threshold=0, template="{}")[0]["score"] == plain[0]["score"]
    assert found(client, labels=["cat"], threshold=0, template="a {}") != plain


def test_a_repeated_label_is_answered_once_under_its_first_spelling(client: httpx.Client) -> None:
    objects = found(client, labels=["Cat", " cat ", "CAT", "x"], **ALL)
    assert {(o["label"], o["label_id"]) for o in objects} == {("Cat", 0), ("x", 3)}


def test_a_label_has_a_threshold_of_its_own(client: httpx.Client) -> None:
    plain = found(client, labels=["cat", "dog"], **ALL)
    strict = found(client, labels=[{"label": "cat", "threshold": 0.9}, "dog"], **ALL)
    assert strict == [o for o in plain if o["label"] == "dog" or o["score"] >= 0.9] != plain


def test_boxes_are_sifted_and_counted_as_asked(client: httpx.Client) -> None:
    plain = found(client, labels=["cat", "dog"], **ALL)
    assert 0 < len(found(client, labels=["cat", "dog"], iou_threshold=0.2, **ALL)) < len(plain)
    assert found(client, labels=["cat", "dog"], **{**ALL, "max_detections": 2}) == plain[:2]


def test_an_example_and_a_box_in_the_picture_are_queries_too(client: httpx.Client) -> None:
    how = Parameters(threshold=0.0, max_detections=300)
    example, box = FILES[3], (10.0, 10.0, 60.0, 50.0)
    wishes: dict[ImageQuery, dict[str, Any]] = {
        ImageQuery(example): {"query_image": text(example)},
        ImageQuery(example, box): {"query_image": f"data:image/png;base64,{text(example)}", "query_box": [*box]},
    }
    for query, fields in wishes.items():
        (expected,) = run(detector(), FILES[:1], query, how=how)
        objects = found(client, threshold=0, max_detections=300, **fields)
        assert [o["score"] for o in objects] == pytest.approx([o.score for o in expected.items], abs=1e-4)
        assert {o["label"] for o in objects} == {"query"}
        files = {"image": FILES[0], "query_image": example}
        form = {name: str(value)[1:-1] for name, value in fields.items() if name == "query_box"}
        assert client.post(f"{PATH}?threshold=0&max_detections=300", files=files, data=form).json()["data"] == objects
    own = client.post(f"{PATH}?query_box=10,10,60,50&threshold=0", content=FILES[0], headers=RAW)
    assert own.json()["data"] == found(client, query_image=text(FILES[0]), query_box=[*box], threshold=0)


def test_several_pictures_are_answered_in_their_order(client: httpx.Client) -> None:
    body = {"images": [text(data) for data in FILES], "labels": ["cat"], **ALL}
    answers = client.post(PATH, json=body).json()["data"]
    assert [(a["image"]["height"], a["image"]["width"]) for a in answers] == [p.shape[:2] for p in PICTURES]


def test_answers_take_the_shapes_of_others(client: httpx.Client) -> None:
    body = {"image": text(FILES[0]), "labels": ["cat", "dog"], **ALL}
    native, hf, coco, roboflow = (
        client.post(f"{PATH}", json={**body, "format": shape}).json() for shape in ("native", "hf", "coco", "roboflow")
    )
    first = native["data"][0]
    assert (hf[0]["label"], hf[0]["box"]["xmin"]) == (first["label"], round(first["box"]["xmin"]))
    assert (coco[0]["category_id"], coco[0]["score"]) == (first["label_id"], first["score"])
    assert (roboflow["predictions"][0]["class"], roboflow["predictions"][0]["confidence"]) == (
        first["label"],
        first["score"],
    )


def test_the_catalogue_tells_what_serves(client: httpx.Client) -> None:
    model = client.get("/v1/models/owlvit").json()
    assert (model["id"], model["service"], model["architecture"]) == ("owlvit", "owlvit", "owlvit")
    assert model["defaults"]["template"] == "a photo of a {}"


def test_openapi_describes_labels_as_strings_or_objects(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    content = document["paths"][PATH]["post"]["requestBody"]["content"]
    labels = content["application/json"]["schema"]["properties"]["labels"]
    assert "$ref" not in json.dumps(labels)
    assert {"string", "object"} <= {item["type"] for item in labels["anyOf"][0]["items"]["anyOf"]}
