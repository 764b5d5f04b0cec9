"""Teach the detectors, as the job asks for it.

train     base -> grown by the new classes -> Trainer, judged on the way by the serving class -> files, golden cases
evaluate  COCO's scores through the serving class
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch

from services.finetune.data.examples import DetectionExample, Example, only
from services.finetune.detection import demo
from services.finetune.detection.answers import CPU
from services.finetune.detection.evaluation import evaluate, scores
from services.finetune.detection.golden import write_golden
from services.finetune.detection.pictures import Reader, collate
from services.finetune.detection.version import Draft
from services.finetune.errors import DataError, JobError
from services.finetune.job import first_process
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Evaluation, Material, Task
from services.finetune.training.estimate import estimate
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import Defaults, Plan, plan
from services.finetune.training.rates import Rates, freeze
from services.finetune.training.teacher import Lesson, teach
from shared.weights.store import Version

DEFAULTS = Defaults(batch=16, lr=2e-3, epochs=2, least_steps=60, warm_up=5, clip=5.0)
# The last layers, which tell classes and boxes, learn by AdamW; filters and matrices before them by Muon.
MUON = ("network.backbone.", "network.rpn.", "network.roi_heads.box_head.", "network.roi_heads.mask_head.")
RATES = Rates(adamw={"": 2e-3}, muon=dict.fromkeys(MUON, 3e-3))
LORA_RATES = Rates(adamw={"": 2e-3})
JUDGED = 200  # pictures of an evaluation on the way, at most


class DetectionTask(Task):
    """SSD, Faster R-CNN and Mask R-CNN, of the tiny architectures and of torchvision's."""

    name: ClassVar[str] = "detection"
    model: ClassVar[str] = "ssd"
    headline: ClassVar[str] = "ap50"

    def __init__(self, device: torch.device = CPU) -> None:
        """`device` runs the evaluations; where training runs, the settings say."""
        self._device = device

    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Two new shapes and two new colours, as COCO folders."""
        return demo.write(folder)

    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach `base`. Raises `JobError` for what it cannot learn so, and `Stopped` after SIGTERM."""
        draft, planned = _begin(base, material, settings)
        validation = only(DetectionExample, material.validation)[:JUDGED]

        def judge() -> Mapping[str, float]:
            draft.write(run.candidate)
            return scores(run.candidate, validation, self._device)

        teach(_lesson(draft, material, planned, judge), planned, run)
        if not first_process():
            return run.candidate
        draft.write(run.candidate)
        if draft.adapter:
            draft.adapter.save_pretrained(str(run.folder / "adapter"))
        write_golden(run.candidate, only(DetectionExample, [*material.validation, *material.old]))
        return run.candidate

    def evaluate(self, version: Path, examples: Sequence[Example]) -> Evaluation:
        """Judge the version in a directory."""
        return evaluate(version, only(DetectionExample, examples), self._device)

    def estimate(self, base: Version, material: Material, settings: JobSettings) -> Mapping[str, Any]:
        """Steps, seconds and memory; two steps are timed."""
        draft, planned = _begin(base, material, settings)
        return estimate(_lesson(draft, material, planned, dict), planned)


def _begin(base: Version, material: Material, settings: JobSettings) -> tuple[Draft, Plan]:
    """What learns, and how. Raises `JobError`."""
    if settings.lora and settings.freeze:
        raise JobError(
            "--freeze beside --lora: an adapter leaves all but the last layers as it is. Leave out --freeze."
        )
    planned = plan(settings, DEFAULTS, new=len(material.train), replay=len(material.replay))
    taught = only(DetectionExample, [*material.train, *material.replay])
    draft = Draft.of(base.path, (label for example in taught for label in example.labels), rank=settings.lora)
    bare = next((one for one in taught if one.boxes and one.masks is None), None) if draft.learns_masks else None
    if bare:
        raise DataError(f"{bare.place}: {base.model} learns masks, and this picture has none. Add 'segmentation'.")
    if settings.freeze:
        freeze(draft.learner.network, settings.freeze)
    return draft, planned


def _lesson(draft: Draft, material: Material, planned: Plan, judge: Callable[[], Mapping[str, float]]) -> Lesson:
    reader = Reader(draft.learner.transform, draft.ids, masks=draft.learns_masks)
    new, replay = only(DetectionExample, material.train), only(DetectionExample, material.replay)
    mixture = Mixture(reader, new, replay=replay, length=planned.examples, seed=planned.seed)
    return Lesson(
        draft.learner, mixture, collate, LORA_RATES if draft.adapter else RATES, judge, DetectionTask.headline
    )
