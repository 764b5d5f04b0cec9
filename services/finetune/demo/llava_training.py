"""Training of the demo LLaVA: tower -> its features -> projector -> stages -> weights.

    rows about pictures -> one batch -> logits of the answers' tokens -> step

The tower is frozen at first, so that its features are computed once. Only answers are learnt. Every step has a luck of
its own, so that a training that was broken off goes on as if it had not been.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from services.finetune.demo import dense, llava_network, llava_tokenizer, stages, tower
from services.finetune.demo.learner import Learner
from services.finetune.demo.llava_alignment import align
from services.finetune.demo.llava_checkpoint import Checkpoint
from services.finetune.demo.llava_monitor import monitored
from services.finetune.demo.llava_packing import Batch, Row, collate
from services.finetune.demo.llava_rows import Writer
from services.finetune.demo.llava_script import Script
from services.finetune.demo.llava_stages import STAGES, Stage
from services.finetune.demo.pictures import WHOLE, Dataset
from services.finetune.demo.progress import Progress

BATCH = 12  # rows
PICTURES = 24_000
ALIGNED = 3000  # pictures that set the projector
NOISE = 0.05  # spread of the brightness that is added to each channel, once the tower learns
EVERY = 200  # steps between two checkpoints
WATCHED = 96  # held-out pictures
FEW, MANY = replace(WHOLE, things=(1, 4)), replace(WHOLE, things=(5, 6))
WORLDS = (FEW, FEW, FEW, MANY)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long the training takes; all stages are shortened alike."""

    tower: int = 1500  # steps, shared with the OWL-ViT's
    share: float = 1.0  # of each stage's steps
    pictures: int = PICTURES


def trained(work: Path, schedule: Schedule, *, seed: int) -> tuple[LlavaForConditionalGeneration, float]:
    """The LLaVA of this seed, from `work` if it was trained before, else trained now; and the CPU seconds it took."""
    torch.manual_seed(seed)
    vision, layer = tower.build(), dense.head(tower.WIDTH)
    seconds = stages.once(
        nn.ModuleDict({"tower": vision, "dense": layer}),
        work / f"tower-{seed}-{schedule.tower}.safetensors",
        lambda: tower.train(vision, layer, steps=schedule.tower, seed=seed),
    )
    torch.manual_seed(seed + 3)
    words = llava_tokenizer.build()
    model = llava_network.build(vision, words)
    name = f"llava-{seed}-{schedule.tower}-{schedule.share:g}"
    seconds += stages.once(
        model,
        work / f"{name}.safetensors",
        lambda: train(model, words, schedule=schedule, seed=seed, checkpoint=Checkpoint(work / f"{name}.checkpoint")),
    )
    return model, seconds


def train(
    model: LlavaForConditionalGeneration,
    words: PreTrainedTokenizerFast,
    *,
    schedule: Schedule,
    seed: int,
    checkpoint: Checkpoint,
) -> None:
    """Train the model in place, from the checkpoint if there is one."""
    torch.set_flush_denormal(True)
    data = Dataset(WORLDS, seed=seed + 3, count=schedule.pictures)
    watched = Dataset(WORLDS, seed=seed + 4, count=min(WATCHED, schedule.pictures))
    seen, script = cached(model, data), Script(words)
    known = range(min(ALIGNED, len(data)))
    align(model, words, seen[: len(known)].float(), data.truth(known))
    for stage in STAGES:
        course = Course(model, stage, Writer(data.scenes, script, stage.weights), seed)
        steps = max(1, round(stage.steps * schedule.share))
        for step in course.run(data, seen, steps=steps, checkpoint=checkpoint):
            sys.stderr.write(f"{stage.name} {step} {json.dumps(monitored(model, script, watched))}\n")


class Course:
    """One stage of a training."""

    def __init__(self, model: LlavaForConditionalGeneration, stage: Stage, writer: Writer, seed: int) -> None:
        self._model, self._stage, self._writer, self._seed = model, stage, writer, seed
        parts = {"language": model.model.language_model, "projector": model.model.multi_modal_projector}
        if stage.joint:
            parts["tower"] = model.model.vision_tower
        self._learner = Learner(nn.ModuleDict(parts), stage.rates, steps=stage.horizon)

    def run(self, data: Dataset, seen: Tensor, *, steps: int, checkpoint: Checkpoint) -> Iterator[int]:
        """Take the steps that the checkpoint does not have yet; yields now and then how many are behind."""
        begin = checkpoint.restore(STAGES.index(self._stage), self._model, self._learner)
        self._model.requires_grad_(True)
        self._model.model.vision_tower.requires_grad_(self._stage.joint)
        progress, recent = Progress(self._stage.name, steps - begin), 0.0
        for step in range(begin, steps):
            rng = Random(f"{self._seed}/{self._stage.name}/{step}")
            batch = collate(self._rows(step, rng), self._writer.script)
            loss = self._loss(batch, data, seen, rng)
            self._learner.step(loss)
            recent = loss.item() if not recent else 0.95 * recent + 0.05 * loss.item()
            progress.tell(step + 1 - begin, f"loss {recent:.3f}")
            if (step + 1) % EVERY == 0 or step + 1 == steps:
                checkpoint.write(STAGES.index(self._stage), step + 1, self._model, self._learner)
                yield step + 1

    def _rows(self, step: int, rng: Random) -> list[Row]:
        """In a mixed stage, of sixteen batches two have two pictures, two the question first, and one is small talk."""
        stage, writer, count = self._stage, self._writer, range(len(self._writer.scenes))
        if stage.mixed and step % 8 == 3:
            return [writer.two(rng.choices(count, k=2), rng) for _ in range(BATCH)]
        if stage.mixed and step % 8 == 7:
            return [writer.last(rng.choice(count), rng) for _ in range(2 * BATCH)]
        if stage.mixed and step % 16 == 5:
            return [writer.talk(rng.choice(count), rng) for _ in range(BATCH)]
        probes = stage.probes if step < stage.probe_steps else 0
        return [writer.one(rng.choice(count), rng, probes=probes) for _ in range(BATCH)]

    def _loss(self, batch: Batch, data: Dataset, seen: Tensor, rng: Random) -> Tensor:
        if self._stage.joint:
            luck = torch.Generator().manual_seed(rng.getrandbits(32))
            noise = NOISE * torch.randn(len(batch.pictures), 3, 1, 1, generator=luck)
            patches = llava_network.features(self._model, data.pixels(batch.pictures) + noise)
        else:
            patches = seen[batch.pictures].float()
        logits, right = llava_network.answers(self._model, batch, patches)
        return F.cross_entropy(logits, right)


@torch.no_grad()
def cached(model: LlavaForConditionalGeneration, data: Dataset) -> Tensor:
    """The tower's features of all pictures in half precision, `[pictures, patches, width]`."""
    found = []
    progress = Progress("look", len(data))
    for start in range(0, len(data), 100):
        chosen = range(start, min(start + 100, len(data)))
        found.append(llava_network.features(model, data.pixels(chosen)).half())
        progress.tell(chosen.stop)
    return torch.cat(found)
