"""What the job asks of LLaVA."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from services.finetune.data.examples import ChatExample, only
from services.finetune.llava import demo, evaluation, training
from services.finetune.run import Run
from services.finetune.settings import JobSettings
from services.finetune.task import Material, Opened, Task
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

    def course(self, base: Version, material: Material, settings: JobSettings) -> training.Course:
        """The network, with an adapter if there is one, and the conversations that it is taught."""
        return training.prepare(base, material, settings)

    def open(self, version: Path) -> Opened:
        """The model that serves, asked for the last answer of a conversation."""
        model = evaluation.served(version)
        return Opened(
            model,
            item=lambda example: evaluation.talk(only(ChatExample, [example])[0]),
            evaluate=lambda examples: evaluation.evaluate(model, only(ChatExample, examples)),
        )
