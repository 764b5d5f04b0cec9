"""How good an OWL-ViT is on scenes that it never saw: all 64 pairs asked at once, one query alone, and one shot."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_convert, box_iou
from transformers import OwlViTForObjectDetection, OwlViTProcessor
from transformers.models.owlvit.modeling_owlvit import OwlViTObjectDetectionOutput

from services.finetune.demo import owlvit_network, texts
from services.finetune.demo.owlvit_network import Answer
from services.finetune.demo.pictures import WHOLE, Dataset
from services.finetune.demo.scenes import Scene
from services.finetune.demo.words import PAIRS, QUERIES, WITHHELD, Query, prompt

ALL = (*PAIRS, *(query for query in QUERIES if query not in PAIRS))  # the pairs come first
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6)
LEAST = 0.02  # the lowest score that counts for average precision


@dataclass(frozen=True, slots=True)
class Counts:
    """How many boxes were right, how many there were, and how many should have been."""

    right: int = 0
    found: int = 0
    wanted: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.right + other.right, self.found + other.found, self.wanted + other.wanted)

    @property
    def precision(self) -> float:
        """Share of the boxes that are right."""
        return self.right / max(1, self.found)

    @property
    def recall(self) -> float:
        """Share of the things that were found."""
        return self.right / max(1, self.wanted)

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        return 2 * self.right / max(1, self.found + self.wanted)


@torch.inference_mode()
def evaluate(
    model: OwlViTForObjectDetection, processor: OwlViTProcessor, *, seed: int, scenes: int
) -> dict[str, float]:
    """`map_50`, `map_75`, `ap_50_withheld`, and of single queries the best `threshold`, `precision` and `recall`.

    `…_withheld` count the withheld pairs alone. All in 0-1, on square scenes of all 64 pairs, with float32 weights.
    """
    data = Dataset([WHOLE], seed=seed, count=scenes)
    queries = texts.embed(model.owlvit, processor.tokenizer, [prompt(query) for query in ALL])
    answers = [
        owlvit_network.answer(model, data.pixels(range(at, min(at + 50, scenes))), queries)
        for at in range(0, scenes, 50)
    ]
    answer = Answer(*(torch.cat([getattr(part, name) for part in answers]) for name in Answer.__slots__))
    figures = average_precision(answer, processor, data.scenes)
    threshold = max(THRESHOLDS, key=lambda t: alone(answer, data.scenes, asked=ALL, threshold=t).f1)
    overall, withheld = (alone(answer, data.scenes, asked=asked, threshold=threshold) for asked in (ALL, WITHHELD))
    return {
        **figures,
        "threshold": threshold,
        "precision": round(overall.precision, 4),
        "recall": round(overall.recall, 4),
        "precision_withheld": round(withheld.precision, 4),
        "recall_withheld": round(withheld.recall, 4),
    }


def average_precision(answer: Answer, processor: OwlViTProcessor, scenes: Sequence[Scene]) -> dict[str, float]:
    """COCO's average precision of 64 queries asked at once, after Hugging Face's post-processing (a label a patch)."""
    together = OwlViTObjectDetectionOutput(logits=answer.logits[..., : len(PAIRS)], pred_boxes=answer.boxes)
    results = processor.post_process_grounded_object_detection(together, LEAST, target_sizes=[(100, 100)] * len(scenes))
    found = [{name: result[name] for name in ("boxes", "scores", "labels")} for result in results]
    true = [{"boxes": 100 * boxes(scene), "labels": labels(scene)} for scene in scenes]
    figures = {}
    for iou in (0.5, 0.75):
        metric = MeanAveragePrecision(iou_thresholds=[iou], class_metrics=True, backend="faster_coco_eval")
        metric.update(found, true)
        result = metric.compute()
        figures[f"map_{round(100 * iou)}"] = round(result["map"].item(), 4)
        by_pair = dict(zip(result["classes"].tolist(), result["map_per_class"].tolist(), strict=True))
        withheld = [by_pair[number] for number, pair in enumerate(PAIRS) if pair in WITHHELD and number in by_pair]
        figures[f"ap_{round(100 * iou)}_withheld"] = round(sum(withheld) / max(1, len(withheld)), 4)
    return figures


def alone(answer: Answer, scenes: Sequence[Scene], *, asked: Sequence[Query], threshold: float) -> Counts:
    """Every query of `asked` put alone to every scene: boxes of at least the threshold, without suppression."""
    columns = [ALL.index(query) for query in asked]
    scores, found = answer.logits[..., columns].sigmoid(), box_convert(answer.boxes, "cxcywh", "xyxy")
    total = Counts()
    for scene, patch_scores, patch_boxes in zip(scenes, scores, found, strict=True):
        fits = torch.tensor([[query.fits(thing) for thing in scene.things] for query in asked])
        total += count(patch_scores >= threshold, box_iou(patch_boxes, boxes(scene)), fits)
    return total


def count(chosen: Tensor, overlap: Tensor, fits: Tensor) -> Counts:
    """Boxes `chosen` by queries, IoU of boxes with things, things that fit the queries: a thing is found only once.

    The shapes are `[boxes, queries]`, `[boxes, things]` and `[queries, things]`.
    """
    right = (chosen.T.float() @ (overlap >= 0.5).float() > 0) & fits
    return Counts(int(right.sum()), int(chosen.sum()), int(fits.sum()))


def boxes(scene: Scene) -> Tensor:
    """The boxes of a square scene as corners in 0-1: `[things, 4]`."""
    return torch.tensor([thing.box for thing in scene.things])


def labels(scene: Scene) -> Tensor:
    """Numbers in `PAIRS`: `[things]`."""
    return torch.tensor([PAIRS.index(Query(thing.colour, thing.shape)) for thing in scene.things])
