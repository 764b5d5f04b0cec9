"""The states of a training that can be gone on from."""

import json
from pathlib import Path

STATE = "trainer_state.json"  # what the Trainer writes last


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint under `folder`; one that a kill cut off has no readable state and is passed over."""
    whole = [path for path in folder.glob("checkpoint-*") if _step(path) is not None]
    return max(whole, key=lambda path: _step(path) or 0, default=None)


def step(folder: Path) -> int:
    """How many steps the newest checkpoint under `folder` has behind it; 0 without one."""
    path = latest(folder)
    return (_step(path) or 0) if path else 0


def _step(checkpoint: Path) -> int | None:
    try:
        return int(json.loads((checkpoint / STATE).read_text())["global_step"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
