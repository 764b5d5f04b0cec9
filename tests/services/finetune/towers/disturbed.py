"""A run whose process is asked to stop while it trains."""

import os
import signal
from typing import Any

from services.finetune.run import Run


class Disturbed(Run):
    """Sends its own process SIGTERM when the first step is measured."""

    def measure(self, **figures: Any) -> None:
        super().measure(**figures)
        if figures["step"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)
