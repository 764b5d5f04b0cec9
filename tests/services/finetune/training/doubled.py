"""Two steps of each task, as a command, so that two processes can take them together.

python -m tests.services.finetune.training.doubled FOLDER BATCH
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from services.finetune.clip import demo as pairs
from services.finetune.clip.task import ClipTask
from services.finetune.data.examples import DetectionExample, Example, only
from services.finetune.detection.task import DetectionTask
from services.finetune.llava.task import LlavaTask
from services.finetune.owlvit import demo as boxes
from services.finetune.owlvit.task import OwlvitTask
from services.finetune.run import Run
from services.finetune.task import Material, Task
from services.finetune.training.teacher import teach
from shared.weights.store import Version
from tests.services.finetune.detection import pictures_on_disk
from tests.services.finetune.llava import conversations
from tests.services.finetune.towers import pictures_of
from tests.services.finetune.training.lessons import settings

STEPS = 3
ALL = 1 << 20  # boxes of a picture: so many that sampling, which is by chance, takes all
Taught = tuple[Task, Version, Material]


def detection(folder: Path, model: str = "ssd") -> Taught:
    return DetectionTask(), pictures_on_disk.shipped(model, folder), pictures_on_disk.material(folder, 8)


def mask_rcnn(folder: Path) -> Taught:
    """From square pictures alone: how far others are filled up depends on the rest of their batch."""
    task, base, shown = detection(folder, "mask-rcnn")
    return task, base, replace(shown, train=_square(shown.train), replay=_square(shown.replay))


def _square(examples: Sequence[Example]) -> list[DetectionExample]:
    return [example for example in only(DetectionExample, examples) if len(set(example.size)) == 1]


def clip(folder: Path) -> Taught:
    shown = pictures_of.material(folder, pairs.write_set, task="clip", things=(1, 3))
    return ClipTask(), pictures_of.base("clip"), shown


def owlvit(folder: Path) -> Taught:
    shown = pictures_of.material(folder, boxes.write_set, task="owlvit", things=(1, 4))
    return OwlvitTask(), pictures_of.base("owlvit"), shown


def llava(folder: Path) -> Taught:
    new, replay = (conversations.chats(folder, pictures=8, each=3, new=new) for new in (True, False))
    return LlavaTask(), conversations.base(folder), Material(new, new[:4], replay, [])


TASKS: Mapping[str, Callable[[Path], Taught]] = {
    "detection": detection,
    "mask-rcnn": mask_rcnn,
    "clip": clip,
    "owlvit": owlvit,
    "llava": llava,
}


def losses(folder: Path, batch: int) -> Mapping[str, list[float]]:
    """The losses of the steps of each task, as the first process has them; others have none."""
    told = {}
    for name, make in TASKS.items():
        run = Run(folder / name)
        own = folder / f"data-{os.environ.get('RANK', '0')}" / name
        for path in (run.folder, own):
            path.mkdir(parents=True, exist_ok=True)
        task, base, material = make(own)
        course = task.course(base, material, settings(steps=STEPS, batch=batch, evaluations=1))
        if name == "mask-rcnn":
            sample_all(course.lesson.module)
        teach(course.lesson, course.plan, run)
        told[name] = _losses(run.folder / "metrics.jsonl")
    return told


def sample_all(learner: Any) -> None:
    """Leave nothing to chance."""
    for part in (learner.network.rpn, learner.network.roi_heads):
        part.fg_bg_sampler.choose.batch_size_per_image = ALL


def _losses(metrics: Path) -> list[float]:
    lines = (json.loads(line) for line in metrics.read_text().splitlines())
    return [line["loss"] for line in lines if "grad_norm" in line]


if __name__ == "__main__":
    torch.set_num_threads(1)
    told = losses(Path(sys.argv[1]), int(sys.argv[2]))
    if os.environ.get("RANK", "0") == "0":
        Path(sys.argv[1], "losses.json").write_text(json.dumps(told))
