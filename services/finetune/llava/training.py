"""Teaching a LLaVA: base + conversations -> rows -> Trainer -> the files of a version.

prepare    tokens by the service's own template; new words get rows to start from; all weights learn, or an adapter
teach      half of each step is replay; judged by whole answers on the way (services/finetune/training)
finish     the adapter is merged, weights and golden cases are written

TRL's SFTTrainer is not between: it prepares chats by a template of its own, and counts on masks of two dimensions.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor

from services.finetune.data.examples import ChatExample
from services.finetune.job import first_process
from services.finetune.llava import adapter, golden, network
from services.finetune.llava.pupil import Pupil
from services.finetune.llava.rows import Row, collate, rows
from services.finetune.llava.scoring import score
from services.finetune.llava.script import Scribe, Script
from services.finetune.llava.vocabulary import start_rows
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import Defaults, Plan, plan
from services.finetune.training.rates import Rates, freeze
from services.finetune.training.teacher import Lesson, teach
from services.llava.weights import State
from shared.accel.pixels import PixelConfig
from shared.weights.store import Version

DEFAULTS = Defaults(batch=16, lr=1.5e-3, epochs=3, least_steps=100, warm_up=10)
RATES = Rates(
    muon={"vision_tower.encoder.layers": 1e-3, "language_model.layers": 1.5e-3},
    adamw={"vision_tower": 2e-4, "multi_modal_projector": 2e-4, "": 7e-4},
)
LORA_RATES = Rates(adamw={"": 3e-3}, decay=0.0)
WATCHED = 200  # conversations that checkpoints are judged by
Seen = tuple[Row, Tensor | None]


@dataclass(frozen=True, slots=True)
class Course:
    """All that a training begins with; `network` has the adapter around it, if there is one."""

    network: Any
    lesson: Lesson
    plan: Plan


def train(base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
    """Teach `base`; returns the directory of the version's files. Raises `JobError`, and `Stopped` after SIGTERM."""
    course = prepare(base, material, settings)
    teach(course.lesson, course.plan, run)
    if not first_process():
        return run.candidate
    taught = course.network
    if settings.lora:
        taught = adapter.merged(taught, run.folder / "adapter")
    shutil.rmtree(run.candidate, ignore_errors=True)  # what a run that was broken off left
    network.write(taught, base.path, run.candidate)
    cases = golden.write_golden(run.candidate, _chats(material.validation), seed=settings.seed)
    run.say(f"{cases} golden cases")
    return run.candidate


def prepare(base: Version, material: Material, settings: JobSettings) -> Course:
    """The network with what it is taught, and the plan. Raises `JobError`."""
    torch.manual_seed(settings.seed)
    state = network.read(base.path)
    scribe = Scribe(state.words, state.picture_tokens, state.context)
    new, replay, judged = (
        [scribe.write(example) for example in _chats(part)]
        for part in (material.train, material.replay, _sample(material.validation, settings.seed))
    )
    taught = _adapted(state, [*new, *replay], settings)
    parts = rows(new), rows(replay)
    course = plan(settings, DEFAULTS, new=len(parts[0]), replay=len(parts[1]))

    def see(row: Row, _: Random) -> Seen:
        return row, network.pixels(row.pictures, state.pixels)

    examples: Mixture[Row, Seen] = Mixture(
        see, parts, length=course.examples, seed=settings.seed, step=course.step_examples
    )
    lesson = Lesson(
        module=taught if settings.lora else Pupil(taught),
        examples=examples,
        collate=_batch,
        rates=LORA_RATES if settings.lora else RATES,
        judge=lambda: _scores(taught, judged, state.pixels),
        headline="exact_match",
    )
    return Course(taught, lesson, course)


def _adapted(state: State, scripts: Sequence[Script], settings: JobSettings) -> Any:
    """The network, or the adapter around it, with what is to learn set free."""
    fresh = start_rows(state.module, state.words, scripts)
    frozen = [name if name.startswith(("model.", "lm_head")) else f"model.{name}" for name in settings.freeze]
    freeze(state.module, frozen)
    if settings.lora:
        return adapter.adapt(state.module, rank=settings.lora, freeze=frozen, rows=fresh)
    return state.module


def _batch(seen: list[Seen]) -> dict[str, Tensor]:
    shown = [pixels for _, pixels in seen if pixels is not None]
    return network.inputs(collate([row for row, _ in seen]), torch.cat(shown) if shown else None)


def _scores(module: Any, scripts: Sequence[Script], config: PixelConfig) -> Mapping[str, float]:
    found = score(module, scripts, config)
    return {"exact_match": found.exact_match, "loss": found.loss}


def _sample(examples: Sequence[Any], seed: int) -> Sequence[Any]:
    return Random(seed).sample(examples, min(WATCHED, len(examples)))


def _chats(examples: Sequence[Any]) -> list[ChatExample]:
    """The examples, which are all conversations in this task."""
    return [example for example in examples if isinstance(example, ChatExample)]
