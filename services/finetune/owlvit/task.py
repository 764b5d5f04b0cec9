"""OWL-ViT and OWLv2 as the job teaches them.

base -> new words, adapter -> boxes by name, with replay held to the base -> the files of a version, golden cases
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from services.finetune.data.examples import DetectionExample, only
from services.finetune.owlvit import demo
from services.finetune.owlvit.answers import asked, served, trial
from services.finetune.owlvit.evaluation import evaluate, named, scores
from services.finetune.owlvit.finder import Finder
from services.finetune.owlvit.golden import write_golden
from services.finetune.owlvit.objects import Objects
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Opened, Task
from services.finetune.towers.recipe import rates
from services.finetune.towers.teaching import Parts, Start, Teaching
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import Defaults, plan
from services.finetune.training.teacher import Lesson
from services.owlvit import weights
from services.owlvit.weights import State
from shared.weights.store import Version

DEFAULTS = Defaults(batch=32, lr=2e-3, epochs=5, least_steps=100, warm_up=20)
HEADS = ("class_head", "box_head", "layer_norm")
JUDGED = 100  # pictures of an evaluation on the way, at most


class OwlvitTask(Task):
    """Teaches an open-vocabulary detector from boxes and their names."""

    name: ClassVar[str] = "owlvit"
    model: ClassVar[str] = "owlvit"
    headline: ClassVar[str] = "ap50"

    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Write scenes of new shapes and colours among those that are known."""
        return demo.write(folder)

    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach `base`; see `Task.train`."""
        candidate = self.course(base, material, settings).carry_out(run)
        if candidate is None:
            return run.candidate
        judged_by = only(DetectionExample, [*material.validation, *material.old])
        cases = write_golden(candidate, served(candidate), judged_by)
        run.say(f"{cases} golden cases")
        return candidate

    def open(self, version: Path) -> Opened:
        """The model that serves, which is asked for all names that the examples to judge by have."""
        model = served(version)
        return Opened(
            model,
            item=lambda example: asked(example, named(only(DetectionExample, [example]))),
            evaluate=lambda examples: evaluate(model, only(DetectionExample, examples)),
        )

    def course(self, base: Version, material: Material, settings: JobSettings) -> Teaching:
        """The base with new words, and the boxes that it is taught. Raises `DataError` for a name that is too long."""
        new, replay = only(DetectionExample, material.train), only(DetectionExample, material.replay)
        read, made = weights.read(base.path), plan(settings, DEFAULTS, new=len(new), replay=len(replay))
        network: Any = read.pretrained.module.train()
        labels = [label for example in new for label in example.labels]
        start = Start.of(base, network, read.tokenizer, texts=labels, parts=_parts(network), how=settings)
        state = replace(read, tokenizer=start.words.tokenizer)
        objects, judged = Objects(state, new, replay), only(DetectionExample, material.validation)[:JUDGED]
        for name in named(only(DetectionExample, [*material.validation, *material.old])):
            objects.wordings(name)  # before hours of training, not behind them
        lesson = Lesson(
            module=Finder(network, start.memory),
            examples=Mixture(objects.row, (new, replay), length=made.examples, seed=made.seed, step=made.step_examples),
            collate=objects.batch,
            rates=rates(network, adapter=start.pupil.adapter),
            judge=lambda: scores(trial(_with(state, start.pupil.plain())), judged),
            headline=self.headline,
        )
        return Teaching(start, lesson, made)


def _parts(network: Any) -> Parts:
    """OWLv2's objectness and what only a whole CLIP needs have no part in the loss, and stay as they are."""
    towers = f"{network.base_model_prefix}."
    unused = [f"{towers}visual_projection", *(["objectness_head"] if hasattr(network, "objectness_head") else [])]
    return Parts(whole=(*HEADS, "text_projection", "token_embedding"), unused=unused)


def _with(state: State, network: Any) -> State:
    return replace(state, pretrained=replace(state.pretrained, module=network))
