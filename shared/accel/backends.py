"""What runs a vision tower on a CPU: torch as it is (eager), OpenVINO, or torch.compile with its weights frozen.

choose_backend   setting -> one of them, or a refusal to start   once per process
Backend.build    the tower -> its other form -> does that agree with eager? -> it serves, or eager goes on
                 on the thread that reads the weights: the device thread never waits for a compiler
"""

import importlib.util
import os
import shutil
import sysconfig
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from shared import logs
from shared.accel.agreement import agreement

Tower = Callable[[Tensor], Tensor]  # normalised pictures, float32 [n, 3, h, w] -> vectors [n, ..., width]

# Least cosine with eager float32. In bfloat16 random networks of full size came to 0.995 without their mean.
AGREEMENT = {torch.float32: 0.9999, torch.bfloat16: 0.99}

log = logs.get(__name__)
_building = threading.Lock()  # torch's exporter and compiler keep their state in the process, not in a thread


class BackendUnavailable(Exception):
    """The settings ask for a backend that cannot run here; the sentence says what to install or to set instead."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to run towers, with `threads` CPU threads."""

    name: str = "eager"
    threads: int = 1

    def build(self, tower: nn.Module, examples: Tensor, dtype: torch.dtype) -> Tower | None:
        """The float32 `tower` in this backend's form, to run in `dtype`; None where eager serves.

        It comes back warm: it has run with one of `examples`, normalised pictures, and with all of them.
        """
        if self.name == "eager":
            return None
        with _building:
            built = _form(self.name)(tower, examples, dtype=dtype, threads=self.threads)
        with torch.inference_mode():
            served = examples.clone()  # a tensor of this mode, as all that come later: torch.compile tells them apart
            found = torch.cat([*(built(one) for one in served[:, None]), built(served)])
            cosine = agreement(torch.cat([tower(served)] * 2), found)
        torch.set_flush_denormal(False)  # code built with fast mathematics sets it in the thread that loads it
        if cosine >= AGREEMENT[dtype]:
            return built
        log.warning("backend_refused", backend=self.name, cosine=round(cosine, 5))
        return None


EAGER = Backend()


def choose_backend(name: str, device: torch.device, threads: int) -> Backend:
    """The backend that `eager`, `openvino` or `compile` means on `device`. Raises `BackendUnavailable`."""
    if name == "eager":
        return EAGER
    if device.type != "cpu":
        raise BackendUnavailable(
            f"OCELLI_BACKEND: {name} runs on a CPU, and the device is {device}. Set OCELLI_BACKEND=eager or "
            "OCELLI_DEVICE=cpu."
        )
    if (missing := _missing(name)) is not None:
        raise BackendUnavailable(f"OCELLI_BACKEND: {name} needs {missing}, or set OCELLI_BACKEND=eager.")
    return Backend(name, threads)


def _missing(name: str) -> str | None:
    """What `name` lacks on this machine, and how to get it."""
    if name == "openvino":
        there = importlib.util.find_spec("openvino") is not None
        return None if there else "a package that is not installed: pip install .[openvino]"
    compiler = os.environ.get("CXX", "g++")
    if shutil.which(compiler) is None:
        return f"a C++ compiler, and {compiler} is not there: apt-get install g++"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's own headers, which are not there: apt-get install python3-dev"
    return None


def _form(name: str) -> Callable[..., Tower]:
    """What makes the form; imported here, since only the processes that use it should pay for it."""
    if name == "openvino":
        from shared.accel.openvino import compiled
    else:
        from shared.accel.inductor import compiled
    return compiled
