"""Wire formats: the four shapes, for one picture and for several, with each kind of mask."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from faster_coco_eval.core import mask as coco
from pydantic import TypeAdapter

from shared.images import answers
from shared.images.detections import Detection, Detections
from shared.images.formats import Answered, Format, MaskFormat, render
from shared.serving.model import Identity

MASK = np.zeros((40, 60), np.bool_)
MASK[10:20, 5:25] = True
MASK[30:32, 50:55] = True


@dataclass(frozen=True)
class Seen:
    """What the serving core hands back."""

    result: Any
    identity: Identity = field(default_factory=lambda: Identity("mask-rcnn", "v7", "sha256:0"))
    stages: Mapping[str, float] = field(default_factory=lambda: {"queue": 0.002, "predict": 0.0105})


CAT = Detection((5.5, 10.25, 25.5, 20.25), "cat", 3, 0.75, MASK)
DOG = Detection((1.0, 2.0, 3.0, 4.0), "dog", 4, 0.5)
ONE: list[Answered] = [Seen(Detections(60, 40, (CAT, DOG)))]
TWO: list[Answered] = [Seen(Detections(60, 40, (DOG,))), Seen(Detections(8, 9, ()))]


def rendered(seen: list[Answered], shape: Format, masks: MaskFormat = "none") -> Any:
    return json.loads(render(seen, shape, masks, "req-1"))


def corners(*values: float) -> dict[str, float]:
    return dict(zip(("xmin", "ymin", "xmax", "ymax"), values, strict=True))


def test_native_tells_everything_about_one_picture() -> None:
    assert rendered(ONE, "native") == {
        "id": "req-1",
        "object": "detection",
        "model": "mask-rcnn",
        "model_version": "v7",
        "image": {"width": 60, "height": 40},
        "data": [
            {
                "box": {"xmin": 5.5, "ymin": 10.25, "xmax": 25.5, "ymax": 20.25},
                "label": "cat",
                "label_id": 3,
                "score": 0.75,
            },
            {"box": {"xmin": 1.0, "ymin": 2.0, "xmax": 3.0, "ymax": 4.0}, "label": "dog", "label_id": 4, "score": 0.5},
        ],
        "usage": {"images": 1},
        "timings_ms": {"queue": 2.0, "predict": 10.5},
    }


def test_native_lists_several_pictures_by_index() -> None:
    answer = rendered(TWO, "native")
    assert (answer["object"], answer["id"], answer["usage"]) == ("list", "req-1", {"images": 2})
    assert [(one["index"], one["id"], len(one["data"])) for one in answer["data"]] == [
        (0, "req-1-0", 1),
        (1, "req-1-1", 0),
    ]
    assert answer["data"][1]["image"] == {"width": 8, "height": 9}


def test_hf_is_a_bare_array_with_whole_pixels() -> None:
    cat, _ = rendered(ONE, "hf")
    assert cat == {"score": 0.75, "label": "cat", "box": {"xmin": 6, "ymin": 10, "xmax": 26, "ymax": 20}}
    assert [len(picture) for picture in rendered(TWO, "hf")] == [1, 0]


def test_coco_is_one_array_whose_image_id_is_the_index() -> None:
    cat, dog = rendered(ONE, "coco")
    assert cat == {"image_id": 0, "category_id": 3, "bbox": [5.5, 10.25, 20.0, 10.0], "score": 0.75}
    assert dog["bbox"] == [1.0, 2.0, 2.0, 2.0]
    assert [line["image_id"] for line in rendered([*TWO, *ONE], "coco")] == [0, 2, 2]


def test_roboflow_has_centres_and_class() -> None:
    answer = rendered(ONE, "roboflow")
    assert {key: answer[key] for key in ("inference_id", "time", "image")} == {
        "inference_id": "req-1",
        "time": 0.0125,
        "image": {"width": 60, "height": 40},
    }
    assert answer["predictions"][0] == {
        "x": 15.5,
        "y": 15.25,
        "width": 20.0,
        "height": 10.0,
        "confidence": 0.75,
        "class": "cat",
        "class_id": 3,
        "detection_id": "req-1.0",
    }
    assert [one["inference_id"] for one in rendered(TWO, "roboflow")] == ["req-1-0", "req-1-1"]


def test_run_lengths_travel_in_all_shapes_and_are_left_out_where_there_is_no_mask() -> None:
    native, hf = rendered(ONE, "native", "rle")["data"], rendered(ONE, "hf", "rle")
    line, prediction = rendered(ONE, "coco", "rle")[0], rendered(ONE, "roboflow", "rle")["predictions"][0]
    rle = line["segmentation"]
    assert np.array_equal(coco.decode(rle), MASK)
    assert native[0]["mask"] == hf[0]["mask"] == {"format": "rle", **rle}
    assert (prediction["mask_format"], prediction["rle"]) == ("rle", rle)
    assert "points" not in prediction
    assert "mask" not in native[1]


def test_polygons_travel_in_all_shapes_and_roboflow_gets_the_largest() -> None:
    large, small = [5, 10, 25, 10, 25, 20, 5, 20], [50, 30, 55, 30, 55, 32, 50, 32]
    mask = {"format": "polygon", "polygons": [large, small]}
    assert rendered(ONE, "native", "polygon")["data"][0]["mask"] == mask
    assert rendered(ONE, "hf", "polygon")[0]["mask"] == mask
    assert rendered(ONE, "coco", "polygon")[0]["segmentation"] == [large, small]
    prediction = rendered(ONE, "roboflow", "polygon")["predictions"][0]
    assert prediction["mask_format"] == "polygon"
    assert prediction["points"] == [{"x": x, "y": y} for x, y in zip(large[::2], large[1::2], strict=True)]


@pytest.mark.parametrize("masks", ["none", "rle", "polygon"])
@pytest.mark.parametrize("seen", [ONE, TWO])
@pytest.mark.parametrize(
    ("shape", "model"),
    [
        ("native", answers.NativeAnswer),
        ("hf", answers.HfAnswer),
        ("coco", list[answers.CocoObject]),
        ("roboflow", answers.RoboflowAnswer),
    ],
)
def test_what_is_sent_is_what_the_models_describe(
    shape: Format, model: Any, seen: list[Answered], masks: MaskFormat
) -> None:
    adapter = TypeAdapter(model)
    body = render(seen, shape, masks, "req-1")
    assert json.loads(adapter.dump_json(adapter.validate_json(body), exclude_none=True, by_alias=True)) == json.loads(
        body
    )


def test_the_models_document_units() -> None:
    schema = json.dumps(TypeAdapter(answers.NativeAnswer).json_schema())
    assert "after EXIF orientation" in schema
    assert "milliseconds" in schema
