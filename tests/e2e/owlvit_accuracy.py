"""How well the served OWL-ViT finds what words or an example name, in scenes that it never saw."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from typing import Any, NamedTuple

import httpx
import numpy as np
import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from services.finetune.demo import one_shot
from services.finetune.demo.owlvit_metrics import Counts, count
from services.finetune.demo.pictures import WHOLE
from services.finetune.demo.scenes import Scene, scenes
from services.finetune.demo.words import PAIRS, WITHHELD, Query
from tests.e2e import held_out
from tests.e2e.held_out import SEED
from tests.e2e.pictures import text

AT_ONCE = 8  # requests


class Shown(NamedTuple):
    """A scene as it is sent, and the boxes [things, 4] of its things in pixels."""

    scene: Scene
    image: str
    boxes: Tensor

    @classmethod
    def of(cls, scene: Scene) -> "Shown":
        """Render it, once."""
        return cls(scene, text(held_out.picture(scene)), held_out.boxes(scene))


def together(client: httpx.Client, number: int) -> dict[str, float]:
    """mAP50 of `number` scenes with all 64 pairs asked at once, and the mean AP50 of the withheld ones."""
    labels = [pair.phrase() for pair in PAIRS]
    average = MeanAveragePrecision(iou_thresholds=[0.5], class_metrics=True, backend="faster_coco_eval")
    for shown in map(Shown.of, scenes(WHOLE, seed=SEED, count=number)):
        found = find(client, shown, labels=labels, threshold=0.02)
        told = {
            "boxes": corners(found),
            "scores": torch.tensor([item["score"] for item in found]),
            "labels": torch.tensor([item["label_id"] for item in found], dtype=torch.int64),
        }
        pairs = [PAIRS.index(Query(thing.colour, thing.shape)) for thing in shown.scene.things]
        average.update([told], [{"boxes": shown.boxes, "labels": torch.tensor(pairs)}])
    computed = average.compute()
    per_class = dict(zip(computed["classes"].tolist(), computed["map_per_class"].tolist(), strict=True))
    withheld = [per_class.get(PAIRS.index(pair), -1) for pair in WITHHELD]  # -1 where no scene has one
    return {
        "mAP50": float(computed["map_50"]),
        "AP50 withheld": float(np.mean([value for value in withheld if value >= 0])),
    }


def alone(client: httpx.Client, number: int, *, asked: Sequence[Query]) -> Counts:
    """Every query of `asked` put alone to each of `number` scenes, at the model's own threshold."""

    def one(case: tuple[Shown, Query]) -> Counts:
        shown, query = case
        found = find(client, shown, labels=[query.phrase()])
        return judge(found, shown.boxes, [query.fits(thing) for thing in shown.scene.things])

    cases = product(map(Shown.of, scenes(WHOLE, seed=SEED, count=number)), asked)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(one, cases), Counts())


def by_example(client: httpx.Client, number: int) -> tuple[float, Counts]:
    """Of `number` examples: how often the best box is right, and what the model's own threshold lets through.

    The example is cut out of one picture; of two to six things in another one, exactly one is of its pair.
    """
    first, total = 0, Counts()
    for scene, thing, query in islice(one_shot.trials(SEED), number):
        shown, fits = Shown.of(scene), [other is thing for other in scene.things]
        fields = {"query_image": text(held_out.png(query))}
        best = find(client, shown, **fields, threshold=0, max_detections=1)
        first += judge(best, shown.boxes, fits).right
        total += judge(find(client, shown, **fields), shown.boxes, fits)
    return first / number, total


def find(client: httpx.Client, shown: Shown, **fields: Any) -> list[dict[str, Any]]:
    """What the service finds in a picture."""
    answer = client.post("/v1/detect/open", json={"image": shown.image, **fields})
    found: list[dict[str, Any]] = answer.raise_for_status().json()["data"]
    return found


def judge(found: Sequence[dict[str, Any]], true: Tensor, fits: Sequence[bool]) -> Counts:
    """The boxes `found` against the `true` ones of which some `fit`; half an overlap is enough."""
    every = torch.ones(len(found), 1, dtype=torch.bool)
    return count(every, box_iou(corners(found), true), torch.tensor([fits]))


def corners(found: Sequence[dict[str, Any]]) -> Tensor:
    """The boxes of an answer: `[n, 4]`."""
    sides = ("xmin", "ymin", "xmax", "ymax")
    return torch.tensor([[item["box"][side] for side in sides] for item in found]).reshape(-1, 4)
