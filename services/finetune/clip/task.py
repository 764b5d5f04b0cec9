"""CLIP as the job teaches it.

base -> new words, adapter -> contrast, with replay held to the base -> the files of a version, golden cases, shift
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from services.clip import weights
from services.clip.model import Item
from services.finetune.clip import demo, space
from services.finetune.clip.contrast import Contrast, Rows
from services.finetune.clip.evaluation import evaluate
from services.finetune.clip.golden import write_golden
from services.finetune.clip.vectors import served, trial
from services.finetune.data.examples import Example, PairExample, only, pictures
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Evaluation, Material, Opened, Task
from services.finetune.towers.recipe import DEFAULTS, rates
from services.finetune.towers.teaching import Parts, Start, Teaching
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import plan
from services.finetune.training.teacher import Lesson
from shared.weights.store import Version

PARTS = Parts(whole=("visual_projection", "text_projection", "token_embedding"))
JUDGED = 300  # examples of an evaluation on the way, at most


class ClipTask(Task):
    """Teaches a CLIP from pictures and what is said of them."""

    name: ClassVar[str] = "clip"
    model: ClassVar[str] = "clip"
    headline: ClassVar[str] = "zero_shot"

    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Write captioned pictures of new shapes and colours, and of those that are known."""
        return demo.write(folder)

    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach `base`; see `Task.train`."""
        candidate = self.course(base, material, settings).carry_out(run)
        if candidate is None:
            return run.candidate
        before, old = served(base.path), only(PairExample, material.old)
        write_golden(candidate, [*only(PairExample, material.validation), *old])
        moved = space.shift(before, served(candidate), space.probes(old))
        space.keep(candidate, base=before.space, moved=moved)
        run.say(f"the vectors of what is known have moved by {moved:.4f}")
        return candidate

    def open(self, version: Path) -> Opened:
        """The model that serves; a taught version has the score `space_shift`."""
        model, moved = served(version), space.kept(version)

        def judged(examples: Sequence[Example]) -> Evaluation:
            found = evaluate(model, only(PairExample, examples))
            return found if moved is None else replace(found, scores={**found.scores, "space_shift": moved})

        return Opened(model, item=lambda example: Item(data=pictures(example)[0].read()), evaluate=judged)

    def course(self, base: Version, material: Material, settings: JobSettings) -> Teaching:
        """The base with new words, and the contrast that it is taught."""
        new, replay = only(PairExample, material.train), only(PairExample, material.replay)
        read, made = weights.read(base.path, torch.float32), plan(settings, DEFAULTS, new=len(new), replay=len(replay))
        network: Any = read.module.train()
        texts = [example.text for example in new]
        start = Start.of(base, network, read.tokenizer, texts=texts, parts=PARTS, how=settings)
        state = replace(read, tokenizer=start.words.tokenizer)
        rows, judged = Rows(state, replay), only(PairExample, material.validation)[:JUDGED]
        lesson = Lesson(
            module=Contrast(network, start.memory),
            examples=Mixture(rows.row, (new, replay), length=made.examples, seed=made.seed, step=made.step_examples),
            collate=rows.batch,
            rates=rates(network, adapter=start.pupil.adapter),
            judge=lambda: evaluate(trial(state, start.pupil.plain()), judged, shown=0).scores,
            headline=self.headline,
        )
        return Teaching(start, lesson, made)
