"""True answers through the gateway, from the shipped weights, whatever way the picture comes."""

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from faster_coco_eval.core import mask as coco_mask
from PIL import Image

from tests.house import House

ROOT = Path(__file__).resolve().parent.parent.parent
SCENE = (ROOT / "examples/scene.jpg").read_bytes()
JPEG = {"content-type": "image/jpeg"}
MODELS = ("faster-rcnn", "ssd", "mask-rcnn")


def detect(house: House, data: bytes, query: str = "", kind: str = "image/jpeg") -> Any:
    answer = house.client.post(f"/v1/detect?{query}", content=data, headers={"content-type": kind})
    assert answer.status_code == 200, answer.text
    return answer.json()


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return width * height / (area - width * height)


def corners(found: dict[str, Any]) -> tuple[float, float, float, float]:
    box = found["box"]
    return box["xmin"], box["ymin"], box["xmax"], box["ymax"]


@pytest.mark.parametrize("model", MODELS)
def test_the_example_scene_is_answered_truly(house: House, model: str) -> None:
    truth = json.loads((ROOT / "examples/scene.json").read_text())
    names = {category["id"]: category["name"] for category in truth["categories"]}
    found = detect(house, SCENE, f"model={model}")["data"]
    assert len(found) == len(truth["annotations"])
    for annotation in truth["annotations"]:
        x, y, w, h = annotation["bbox"]
        best = max(found, key=lambda item: iou(corners(item), (x, y, x + w, y + h)))
        assert best["label"] == names[annotation["category_id"]]
        assert iou(corners(best), (x, y, x + w, y + h)) > 0.75


def test_an_answer_says_who_answered_and_how_long_it_took(house: House) -> None:
    answer = house.client.post("/v1/detect", content=SCENE, headers={**JPEG, "x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    assert answer.headers["x-model-version"] == answer.json()["model_version"]
    (model,) = [m for m in house.client.get("/v1/models").json()["data"] if m["id"] == "faster-rcnn"]
    assert answer.headers["x-weights-digest"] == model["digest"]
    assert {part.split(";")[0].strip() for part in answer.headers["server-timing"].split(",")} >= {
        "preprocess",
        "queue",
        "forward",
    }


def test_raw_multipart_and_base64_give_identical_answers(house: House) -> None:
    text = base64.b64encode(SCENE).decode()
    requests: list[dict[str, Any]] = [
        {"content": SCENE, "headers": JPEG},
        {"content": SCENE, "headers": {"content-type": "application/octet-stream"}},
        {"files": {"file": ("../../x.jpg", SCENE, "image/jpeg")}},
        {"json": {"image": text}},
        {"json": {"image": f"data:image/jpeg;base64,{text}"}},
        {"json": {"image": {"type": "base64", "value": text}}},
        {"json": {"images": [text]}},
    ]
    answers = [house.client.post("/v1/detect", **request).json()["data"] for request in requests]
    assert len(answers[0]) == 5
    assert all(answer == answers[0] for answer in answers)


def test_parameters_mean_the_same_in_query_form_and_json(house: House) -> None:
    text = base64.b64encode(SCENE).decode()
    by_query = detect(house, SCENE, "model=ssd&threshold=0.3&labels=circle,square&max_detections=3")["data"]
    by_form = house.client.post(
        "/v1/detect",
        files={"image": SCENE},
        data={"model": "ssd", "threshold": "0.3", "labels": "circle,square", "max_detections": "3"},
    ).json()["data"]
    by_json = house.client.post(
        "/v1/detect",
        json={"image": text, "model": "ssd", "threshold": 0.3, "labels": ["circle", "square"], "max_detections": 3},
    ).json()["data"]
    by_roboflow = house.client.post(
        "/v1/detect",
        json={
            "image": text,
            "model_id": "ssd",
            "confidence": 0.3,
            "class_filter": ["circle", "square"],
            "max_detections": 3,
        },
    ).json()["data"]
    assert by_query == by_form == by_json == by_roboflow


def test_several_pictures_are_answered_in_their_order(house: House) -> None:
    other = (ROOT / "examples/dark.png").read_bytes()
    pictures = [base64.b64encode(data).decode() for data in (SCENE, other, SCENE)]
    answer = house.client.post("/v1/detect", json={"images": pictures, "model": "ssd"}).json()
    assert [entry["index"] for entry in answer["data"]] == [0, 1, 2]
    assert answer["usage"]["images"] == 3
    alone = detect(house, other, "model=ssd", "image/png")["data"]
    for together, one in zip(answer["data"][1]["data"], alone, strict=True):
        assert together["label"] == one["label"]
        assert corners(together) == pytest.approx(corners(one), abs=0.01)
    assert answer["data"][0]["data"] == answer["data"][2]["data"]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_upright_picture(house: House, orientation: int) -> None:
    upright = Image.open(io.BytesIO(SCENE)).convert("RGB")
    stored = _stored_as(upright, orientation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned, plain = io.BytesIO(), io.BytesIO()
    stored.save(turned, "PNG", exif=exif)
    upright.save(plain, "PNG")
    expected = detect(house, plain.getvalue(), kind="image/png")
    found = detect(house, turned.getvalue(), kind="image/png")
    assert found["image"] == {"width": 640, "height": 480}
    assert len(found["data"]) == len(expected["data"])
    for a, b in zip(found["data"], expected["data"], strict=True):
        assert a["label"] == b["label"] and iou(corners(a), corners(b)) >= 0.98


def test_the_four_formats_tell_the_same(house: House) -> None:
    native = detect(house, SCENE)["data"]
    hf = detect(house, SCENE, "format=hf")
    coco = detect(house, SCENE, "format=coco")
    roboflow = detect(house, SCENE, "format=roboflow")["predictions"]
    for ours, a, b, c in zip(native, hf, coco, roboflow, strict=True):
        x0, y0, x1, y1 = corners(ours)
        assert corners(a) == (round(x0), round(y0), round(x1), round(y1))
        assert b["bbox"] == pytest.approx([x0, y0, x1 - x0, y1 - y0], abs=0.002)
        assert (c["x"], c["y"]) == pytest.approx(((x0 + x1) / 2, (y0 + y1) / 2), abs=0.002)
        assert ours["label"] == a["label"] == c["class"]
        assert ours["label_id"] == b["category_id"] == c["class_id"]


def test_masks_come_as_run_lengths_and_as_polygons(house: House) -> None:
    by_rle = detect(house, SCENE, "model=mask-rcnn")["data"]
    by_polygon = detect(house, SCENE, "model=mask-rcnn&mask_format=polygon")["data"]
    for a, b in zip(by_rle, by_polygon, strict=True):
        mask = coco_mask.decode({**a["mask"], "counts": a["mask"]["counts"].encode()})
        rings = coco_mask.merge(coco_mask.frPyObjects(b["mask"]["polygons"], 480, 640))
        drawn = coco_mask.decode(rings)
        assert mask.shape == (480, 640)
        assert (mask & drawn).sum() / (mask | drawn).sum() > 0.95
        x0, y0, x1, y1 = corners(a)
        inside = mask[int(y0) : int(y1) + 1, int(x0) : int(x1) + 1].sum()
        assert inside > 0.99 * mask.sum() > 100


def test_labels_of_a_model_are_listed(house: House) -> None:
    listed = house.client.get("/v1/models/ssd/labels").json()
    expected = ["circle", "square", "triangle", "star", "diamond", "hexagon", "cross", "heart"]
    assert [entry["label"] for entry in listed["data"]] == expected


def test_the_stock_openai_client_lists_models_and_reads_errors(house: House) -> None:
    client = openai.OpenAI(base_url=f"{house.gateway.url}/v1", api_key="unused", max_retries=0)
    assert {model.id for model in client.models.list()} == {*MODELS, "clip", "owlvit", "llava"}
    assert client.models.retrieve("ssd").owned_by == "ocelli"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("none")
    assert caught.value.code == "model_not_found" and caught.value.request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        client.post("/detect", cast_to=httpx.Response, body={"image": "!!!!"})
    assert wrong.value.param == "image"


def _stored_as(upright: Image.Image, orientation: int) -> Image.Image:
    """The pixels that a camera would store, so that `orientation` turns them upright."""
    turn = Image.Transpose
    inverse = [
        None, turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM,
        turn.TRANSPOSE, turn.ROTATE_90, turn.TRANSVERSE, turn.ROTATE_270,
    ][orientation - 1]  # fmt: skip
    return upright if inverse is None else upright.transpose(inverse)
