"""One run of a network of two towers: what learns, from what, and the version that it becomes.

base -> new words -> pupil, beside a memory of the base -> lesson -> the files of a version
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.finetune.job import first_process
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.towers.memory import Memory
from services.finetune.towers.pupil import Pupil
from services.finetune.towers.version import write
from services.finetune.towers.vocabulary import Words
from services.finetune.training.plan import Plan
from services.finetune.training.teacher import Lesson, teach
from shared.accel.tokenizer import Tokenizer
from shared.weights.store import Version


@dataclass(frozen=True, slots=True)
class Parts:
    """Which parts of a network an adapter leaves to learn as a whole, and which have no part in its task."""

    whole: Sequence[str]
    unused: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Start:
    """A base that is ready to learn new words; `memory` is of the base with them."""

    base: Path
    words: Words
    memory: Memory
    pupil: Pupil

    @classmethod
    def of(
        cls, base: Version, network: Any, tokenizer: Tokenizer, *, texts: Iterable[str], parts: Parts, how: JobSettings
    ) -> "Start":
        """Changes `network` in place; the new words are those of `texts`. Raises `JobError`."""
        words = Words(base.path, tokenizer, texts)
        words.widen(network.base_model.text_model)
        memory = Memory(network)
        pupil = Pupil(network, rank=how.lora, whole=parts.whole, frozen=how.freeze)
        for part in parts.unused:
            network.get_submodule(part).requires_grad_(False)
        return cls(base.path, words, memory, pupil)


@dataclass(frozen=True, slots=True)
class Teaching:
    """A start with its lesson and its plan."""

    start: Start
    lesson: Lesson
    plan: Plan

    def carry_out(self, run: Run) -> Path | None:
        """Train and write the files of a version, but for golden cases; None where another process does that."""
        teach(self.lesson, self.plan, run)
        if not first_process():
            return None
        write(self.start.pupil.plain(), self.start.base, run.candidate)
        self.start.words.write(run.candidate)
        self.start.pupil.keep(run.folder / "adapter")
        return run.candidate
