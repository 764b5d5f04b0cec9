import contextlib
import io

import numpy as np
from faster_coco_eval import COCO
from faster_coco_eval.core import mask as run_lengths

from services.finetune.demo import coco, render
from services.finetune.demo.scenes import World, scenes
from services.finetune.demo.shapes import SHAPES

SCENES = list(scenes(World(aspect=4 / 3), seed=8, count=12))
NAMES = [f"{number}.png" for number in range(len(SCENES))]


def truth() -> coco.Dataset:
    return coco.dataset(SCENES, NAMES, side=120, shapes=SHAPES)


def test_the_truth_names_every_picture_thing_and_shape() -> None:
    dataset = truth()

    assert [image["file_name"] for image in dataset["images"]] == NAMES
    assert {(image["width"], image["height"]) for image in dataset["images"]} == {(160, 120)}
    assert [category["name"] for category in dataset["categories"]] == list(SHAPES)
    names = {category["id"]: category["name"] for category in dataset["categories"]}
    assert [names[entry["category_id"]] for entry in dataset["annotations"]] == [
        thing.shape for scene in SCENES for thing in scene.things
    ]


def test_box_area_and_mask_of_an_annotation_agree() -> None:
    dataset = truth()
    masks = [mask for s in SCENES for mask in render.masks(render.instances(s, 120), len(s.things))]
    for entry, mask in zip(dataset["annotations"], masks, strict=True):
        encoded = entry["segmentation"]
        decoded = run_lengths.decode(encoded)
        assert (decoded == mask).all()
        assert entry["area"] == mask.sum()
        assert entry["bbox"] == np.asarray(run_lengths.toBbox(encoded)).tolist()


def test_the_reference_reader_takes_it_and_finds_every_annotation() -> None:
    dataset = truth()
    with contextlib.redirect_stdout(io.StringIO()):
        reader = COCO(dataset)

    assert len(reader.getAnnIds()) == sum(len(scene.things) for scene in SCENES)
    assert len({entry["id"] for entry in dataset["annotations"]}) == len(dataset["annotations"])
    assert all(len(reader.getAnnIds(imgIds=[i])) == len(s.things) for i, s in enumerate(SCENES, start=1))
