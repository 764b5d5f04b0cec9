"""The stages of a training that several recipes share: each runs once and leaves its weights in a working folder."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from torch import nn

from shared.accel.checkpoint import read_state, write_state


def once(module: nn.Module, file: Path, train: Callable[[], None]) -> float:
    """Load `module` from `file`, or call `train`, which trains it, and write it there.

    Returns the CPU seconds that the training took, then or now.
    """
    told = file.with_suffix(".json")
    if told.exists():
        module.load_state_dict(read_state(file))
    else:
        begin = time.process_time()
        train()
        file.parent.mkdir(parents=True, exist_ok=True)
        write_state(module.state_dict(), file)
        told.write_text(json.dumps({"cpu_seconds": time.process_time() - begin}) + "\n")  # last: now it is whole
    return float(json.loads(told.read_text())["cpu_seconds"])
