"""One line on standard error for work that takes more than two seconds: how far it is, and the time that is left."""

import sys
import time
from typing import TextIO

PAUSE_S = 2.0


class Progress:
    """Counts the steps of one piece of work and tells of them, at most every two seconds."""

    def __init__(self, label: str, total: int, *, out: TextIO = sys.stderr) -> None:
        self._label, self._total, self._out = label, total, out
        self._begin = self._told = time.monotonic()

    def tell(self, done: int, note: str = "") -> None:
        """Say that `done` steps are behind us, unless something was said just before."""
        now = time.monotonic()
        if now - self._told < PAUSE_S:
            return
        self._told = now
        left = (now - self._begin) / done * (self._total - done)
        ending = "\r" if self._out.isatty() else "\n"
        self._out.write(f"{self._label} {done}/{self._total}, {left:.0f} s left {note}{ending}")
        self._out.flush()
