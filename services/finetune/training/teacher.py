"""transformers' Trainer, with our examples, our optimizer and our judge.

Lesson + Plan + Run -> teach() -> the module holds the best weights
    step       Mixture -> collate -> forward -> loss -> MuonAdamW
    evaluate   judge() in the first process, told to all; scores -> metrics.jsonl, tensorboard, best checkpoint
    signal     finish the step -> checkpoint -> Stopped
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter
from transformers import EarlyStoppingCallback, PreTrainedModel, PrinterCallback, Trainer
from transformers.integrations.integration_utils import TensorBoardCallback

from services.finetune.errors import JobError, Stopped
from services.finetune.run import Run
from services.finetune.training import checkpoints
from services.finetune.training.arguments import arguments
from services.finetune.training.interruption import Interruption
from services.finetune.training.journal import Journal
from services.finetune.training.mixture import Mixture
from services.finetune.training.plan import Plan
from services.finetune.training.rates import Rates, optimizer


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is taught, to whom and how it is judged.

    module     `module(**batch)` returns a mapping with `loss`
    collate    what the mixture makes of examples -> a batch
    judge      scores of the module as it is; `headline` is one of them. The first process alone calls it
    """

    module: nn.Module
    examples: Mixture[Any, Any]
    collate: Callable[[list[Any]], dict[str, Any]]
    rates: Rates
    judge: Callable[[], Mapping[str, float]]
    headline: str


def teach(lesson: Lesson, plan: Plan, run: Run) -> None:
    """Train, from the latest checkpoint of the run if it has one. Raises `Stopped` after SIGTERM, and `JobError`."""
    if plan.checkpointing:
        _keep_less(lesson.module)
    resumed = checkpoints.latest(run.checkpoints)
    with Interruption() as interruption:
        trainer = Teacher(lesson, plan, run)
        trainer.add_callback(interruption)
        trainer.train(resume_from_checkpoint=str(resumed) if resumed else None)
    if interruption.asked:
        done = f"Stopped after step {trainer.state.global_step} of {plan.steps}"
        raise Stopped(f"{done}; nothing is lost. Go on with: --resume {run.folder}")


class Teacher(Trainer):
    """A Trainer for one lesson."""

    def __init__(self, lesson: Lesson, plan: Plan, run: Run) -> None:
        self._lesson = lesson
        super().__init__(
            model=lesson.module,
            args=arguments(plan, run, lesson.headline),
            train_dataset=lesson.examples,
            eval_dataset=lesson.examples,  # must be given and is never read: the judge has its own
            data_collator=lesson.collate,
            optimizers=(optimizer(lesson.module, lesson.rates, pace=plan.pace), None),
        )
        self.remove_callback(PrinterCallback)
        self.add_callback(Journal(run, lesson.headline))
        if plan.patience:
            self.add_callback(EarlyStoppingCallback(plan.patience))
        if self.is_world_process_zero():
            writer = SummaryWriter(str(run.folder / "tensorboard"))
            self.add_callback(TensorBoardCallback(writer))  # type: ignore[no-untyped-call]

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Let the lesson's own judge score the weights as they are; every process gets the same scores."""
        scores: list[Any] = [None]
        if self.is_world_process_zero():
            self._lesson.module.eval()
            scores = [{f"eval_{name}": float(score) for name, score in self._lesson.judge().items()}]
        if self.args.world_size > 1:
            torch.distributed.broadcast_object_list(scores)
        self.log(dict(scores[0]))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, scores[0])
        return dict(scores[0])

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Checkpoints hold tensors of the plain layout, whatever layout the network computes in."""
        if state_dict is None and not isinstance(self.model, PreTrainedModel):
            state_dict = {name: tensor.contiguous() for name, tensor in self._lesson.module.state_dict().items()}
        super()._save(output_dir, state_dict)


def _keep_less(module: nn.Module) -> None:
    """Let the module compute activations again in the backward pass, if it can."""
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next((getattr(module, name) for name in names if hasattr(module, name)), None)
    if enable is None:
        raise JobError("--checkpointing: this network cannot do without its activations. Use a smaller --batch.")
    enable()
