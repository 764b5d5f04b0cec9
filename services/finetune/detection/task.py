"""Teach the detectors, as the job asks for it.

train     base -> grown by the new classes -> Trainer, judged on the way by the serving class -> files, golden cases
open      the serving class, judged by COCO's scores
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import torch

from services.detection.model import Item
from services.finetune.data.examples import DetectionExample, only, pictures
from services.finetune.detection import demo
from services.finetune.detection.answers import CPU, detector
from services.finetune.detection.evaluation import evaluate, scores
from services.finetune.detection.golden import write_golden
from services.finetune.detection.pictures import AUGMENTATIONS, Reader, collate
from services.finetune.detection.version import Draft
from services.finetune.errors import DataError, JobError
from services.finetune.job import first_process
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Opened, Task
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
AUGMENT = ("mirror",)
DEMO_AUGMENT = ("mirror", "colours")  # its classes are shapes of any colour


@dataclass(frozen=True, slots=True)
class Drafting:
    """A draft with what it is taught."""

    draft: Draft
    lesson: Lesson
    plan: Plan


class DetectionTask(Task):
    """SSD, Faster R-CNN and Mask R-CNN, of the tiny architectures and of torchvision's."""

    name: ClassVar[str] = "detection"
    model: ClassVar[str] = "ssd"
    headline: ClassVar[str] = "ap50"
    augmentations: ClassVar[Sequence[str]] = tuple(AUGMENTATIONS)

    def __init__(self, device: torch.device = CPU) -> None:
        """`device` runs the evaluations; where training runs, the settings say."""
        self._device = device

    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Two new shapes and two new colours, as COCO folders."""
        return demo.write(folder)

    def course(self, base: Version, material: Material, settings: JobSettings) -> Drafting:
        """The base, grown by the new classes, and what it is taught. Raises `JobError` for what it cannot learn so."""
        planned = plan(settings, DEFAULTS, new=len(material.train), replay=len(material.replay))
        draft = _draft(base, material, settings)
        augment = settings.augment or (DEMO_AUGMENT if settings.demo else AUGMENT)
        reader = Reader(draft.learner.transform, draft.ids, masks=draft.learns_masks, augment=augment)
        parts = only(DetectionExample, material.train), only(DetectionExample, material.replay)
        lesson = Lesson(
            module=draft.learner,
            examples=Mixture(reader, parts, length=planned.examples, seed=planned.seed, step=planned.step_examples),
            collate=collate,
            rates=LORA_RATES if draft.adapter else RATES,
            judge=lambda: self._scores(draft, material),
            headline=self.headline,
        )
        return Drafting(draft, lesson, planned)

    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach `base`. Raises `JobError` for what it cannot learn so, and `Stopped` after SIGTERM."""
        course = self.course(base, material, settings)
        teach(course.lesson, course.plan, run)
        if not first_process():
            return run.candidate
        course.draft.write(run.candidate)
        if course.draft.adapter:
            course.draft.adapter.save_pretrained(str(run.folder / "adapter"))
        write_golden(run.candidate, only(DetectionExample, [*material.validation, *material.old]))
        return run.candidate

    def open(self, version: Path) -> Opened:
        """The detector of the version, asked as by a request that says nothing but its picture."""
        made = detector(version, self._device)
        return Opened(
            made,
            item=lambda example: Item(pictures(example)[0].read()),
            evaluate=lambda examples: evaluate(made, only(DetectionExample, examples)),
        )

    def _scores(self, draft: Draft, material: Material) -> Mapping[str, float]:
        with TemporaryDirectory(prefix="ocelli-draft-") as folder:
            draft.write(Path(folder))
            made = detector(Path(folder), self._device)
        return scores(made, only(DetectionExample, material.validation)[:JUDGED])


def _draft(base: Version, material: Material, settings: JobSettings) -> Draft:
    """What learns. Raises `JobError`."""
    if settings.lora and settings.freeze:
        raise JobError(
            "--freeze beside --lora: an adapter leaves all but the last layers as it is. Leave out --freeze."
        )
    taught = only(DetectionExample, [*material.train, *material.replay])
    draft = Draft.of(base.path, (label for example in taught for label in example.labels), rank=settings.lora)
    bare = next((one for one in taught if one.boxes and one.masks is None), None) if draft.learns_masks else None
    if bare:
        raise DataError(f"{bare.place}: {base.model} learns masks, and this picture has none. Add 'segmentation'.")
    if settings.freeze:
        freeze(draft.learner.network, settings.freeze)
    return draft
