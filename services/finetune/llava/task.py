"""What the job asks of LLaVA."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from services.finetune.data.examples import ChatExample, Example, only
from services.finetune.llava import demo, evaluation, training
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Evaluation, Material, Task
from services.finetune.training.estimate import estimate
from shared.weights.store import Version


class LlavaTask(Task):
    """Chat about pictures, learnt from conversations."""

    name: ClassVar[str] = "llava"
    model: ClassVar[str] = "llava"
    headline: ClassVar[str] = "exact_match"

    def demo(self, folder: Path) -> Mapping[str, Path]:
        """Dialogues about a shape and colours that the shipped weights do not know."""
        return demo.write(folder)

    def train(self, base: Version, material: Material, run: Run, settings: JobSettings) -> Path:
        """Teach all parts, or an adapter."""
        return training.train(base, material, run, settings)

    def evaluate(self, version: Path, examples: Sequence[Example]) -> Evaluation:
        """Exact match of whole answers, as the service gives them."""
        return evaluation.evaluate(version, only(ChatExample, examples))

    def estimate(self, base: Version, material: Material, settings: JobSettings) -> Mapping[str, Any]:
        """Steps, seconds and memory, after a few steps that are not kept."""
        course = training.prepare(base, material, settings)
        return estimate(course.lesson, course.plan)
