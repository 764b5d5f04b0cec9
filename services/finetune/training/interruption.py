"""SIGTERM and SIGINT while a run trains: the step is finished, a checkpoint saved, and the training ends.

A second signal ends the process at once, as if nobody had caught the first.
"""

import signal
import threading
from contextlib import suppress
from types import FrameType
from typing import Any, Self

import torch
from torch import distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Interruption(TrainerCallback):
    """Catches the signals while it is entered; `asked` tells whether one came, to any of the processes."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # no other thread may catch signals
            self._before = {number: signal.signal(number, self._catch) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> TrainerControl:
        """End after this step, on all processes alike."""
        self.asked = _anywhere(self.asked)
        if self.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
        return control

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._release()

    def _release(self) -> None:
        for number, handler in self._before.items():
            with suppress(TypeError):  # None: a handler that was not set from Python cannot be set again from it
                signal.signal(number, handler)
        self._before = {}


def _anywhere(asked: bool) -> bool:
    """Whether any process was asked: one that stops alone would leave the others waiting for it."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return asked
    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    flag = torch.tensor(float(asked), device=device)
    distributed.all_reduce(flag, op=distributed.ReduceOp.MAX)
    return bool(flag)
