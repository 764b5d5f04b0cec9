"""What a training tells: a line of progress at most every two seconds, and every figure in metrics.jsonl."""

import time
from collections.abc import Mapping
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from services.finetune.run import Run

PAUSE_S = 2.0


class Journal(TrainerCallback):
    """Writes down one training of a run, in the first process of several."""

    def __init__(self, run: Run, headline: str) -> None:
        self._run, self._headline = run, headline
        self._loss: float | None = None
        self._begun = self._told = time.monotonic()
        self._first = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock; a resumed run starts it at the step that it resumes from."""
        self._begun, self._first = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            self._run.forget(after=state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Say how far it is and how long it still takes, unless something was said just before."""
        now = time.monotonic()
        if not state.is_world_process_zero or now - self._told < PAUSE_S:
            return
        self._told = now
        left = (now - self._begun) / (state.global_step - self._first) * (state.max_steps - state.global_step)
        loss = "" if self._loss is None else f", loss {self._loss:.3f}"
        self._run.say(f"step {state.global_step} of {state.max_steps}{loss}, {_clock(left)} left")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep loss, rate and length of the gradient."""
        if state.is_world_process_zero and logs and "loss" in logs:
            self._loss = logs["loss"]
            names = {"loss": "loss", "learning_rate": "lr", "grad_norm": "grad_norm"}
            self._run.measure(step=state.global_step, **{ours: logs.get(name) for name, ours in names.items()})

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Keep the scores, and the headline once more as `score`, and say it."""
        if state.is_world_process_zero and metrics:
            scores = {name.removeprefix("eval_"): value for name, value in metrics.items()}
            self._run.measure(step=state.global_step, score=scores[self._headline], **scores)
            self._run.say(f"step {state.global_step}: {self._headline} {scores[self._headline]:.3f}")
            self._told = time.monotonic()


def _clock(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
