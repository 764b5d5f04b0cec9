"""Ground truth of scenes in COCO's format: what is seen of each thing, as box, area and run-length mask.

http://cocodataset.org/#format-data. A thing that another one covers in part counts with the part that is seen.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TypedDict

import numpy as np
from faster_coco_eval.core import mask as run_lengths

from services.finetune.demo import render
from services.finetune.demo.render import Pixels
from services.finetune.demo.scenes import Scene, Thing


class ImageEntry(TypedDict):
    """One picture; sizes in pixels."""

    id: int
    file_name: str
    width: int
    height: int


class Segmentation(TypedDict):
    """A mask as compressed run lengths down the columns; `size` is height, width."""

    size: list[int]
    counts: str


class Annotation(TypedDict):
    """One thing; `bbox` is x, y, width, height in pixels."""

    id: int
    image_id: int
    category_id: int
    bbox: list[int]
    area: int
    iscrowd: int
    segmentation: Segmentation


class Category(TypedDict):
    """One class; ids count from 1."""

    id: int
    name: str


class Dataset(TypedDict):
    """A whole COCO file."""

    images: list[ImageEntry]
    annotations: list[Annotation]
    categories: list[Category]


def dataset(
    scenes: Sequence[Scene],
    names: Sequence[str],
    *,
    side: int,
    shapes: Sequence[str],
    named: Callable[[Thing], str] = attrgetter("shape"),
) -> Dataset:
    """The truth about `scenes`, whose pictures are called `names` and have a shorter side of `side` pixels.

    What a thing is `named` is one of `shapes`, the classes.
    """
    images: list[ImageEntry] = []
    annotations: list[Annotation] = []
    for number, (scene, name) in enumerate(zip(scenes, names, strict=True), start=1):
        width, height = render.size(scene, side)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        masks = render.masks(render.instances(scene, side), len(scene.things))
        for thing, mask in zip(scene.things, masks, strict=True):
            category, identifier = shapes.index(named(thing)) + 1, len(annotations) + 1
            annotations.append(annotation(mask, identifier=identifier, image=number, category=category))
    categories: list[Category] = [{"id": number, "name": shape} for number, shape in enumerate(shapes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def annotation(mask: Pixels, *, identifier: int, image: int, category: int) -> Annotation:
    """The annotation of one mask `[height, width]` of 0 and 1."""
    x0, y0, x1, y1 = render.boxes(mask[None])[0].tolist()
    encoded = run_lengths.encode(np.asfortranarray(mask))
    return {
        "id": identifier,
        "image_id": image,
        "category_id": category,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": {"size": list(mask.shape), "counts": encoded["counts"].decode("ascii")},
    }
