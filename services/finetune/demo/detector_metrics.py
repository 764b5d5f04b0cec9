"""How good a detector is on scenes that it never saw: COCO's average precision, and how well its masks fit."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchmetrics.detection import MeanAveragePrecision
from torchvision.ops import box_iou

from services.finetune.demo.detector_batches import Batch, batch
from services.finetune.demo.progress import Progress
from services.finetune.demo.scenes import World

Answer = dict[str, Tensor]
PICTURES = 12  # of one batch


@torch.inference_mode()
def evaluate(model: nn.Module, world: World, *, seed: int, scenes: int) -> dict[str, float]:
    """`map` (over IoU .5 to .95), `map_50`, `map_75`, and `mask_iou` if the model found masks; all in 0-1.

    The pictures are of the sizes, shapes and JPEG qualities of training, of the scenes that `seed` stands for.
    """
    precision = MeanAveragePrecision(backend="faster_coco_eval")
    progress, fits = Progress("evaluate", scenes), []
    for number in range(-(-scenes // PICTURES)):
        held_out = batch(world, seed=seed, number=number, count=min(PICTURES, scenes - number * PICTURES))
        answers = model(held_out.pictures)
        precision.update([_boxes(answer) for answer in answers], [_boxes(target) for target in held_out.targets])
        fits.append(mask_fits(answers, held_out))
        progress.tell(number * PICTURES + len(answers))
    figures = {name: round(precision.compute()[name].item(), 4) for name in ("map", "map_50", "map_75")}
    if len(found := torch.cat(fits)):
        figures["mask_iou"] = round(found.mean().item(), 4)
    return figures


def mask_fits(answers: Sequence[Answer], held_out: Batch) -> Tensor:
    """IoU of each found thing's mask with the true one; found means box IoU and score of a half, and the label."""
    fits = [
        _fits(answer, target) for answer, target in zip(answers, held_out.targets, strict=True) if "masks" in answer
    ]
    return torch.cat(fits) if fits else torch.empty(0)


def _fits(answer: Answer, target: Answer) -> Tensor:
    sure = answer["scores"] >= 0.5
    boxes, labels, masks = answer["boxes"][sure], answer["labels"][sure], answer["masks"][sure, 0] > 0.5
    if not len(boxes):
        return torch.empty(0)
    overlap = box_iou(target["boxes"], boxes) * (target["labels"][:, None] == labels)
    best, index = overlap.max(dim=1)
    found = best >= 0.5
    true, seen = target["masks"][found] > 0, masks[index[found]]
    return (true & seen).sum((1, 2)) / (true | seen).sum((1, 2))


def _boxes(answer: Answer) -> Answer:
    return {name: answer[name] for name in ("boxes", "labels", "scores") if name in answer}
