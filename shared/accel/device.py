"""The device of a process: chosen once, before any weights are read.

"auto" -> the first GPU, or the CPU      "cpu", "cuda", "cuda:<n>" -> that one, or a refusal to start
"""

from contextlib import suppress

import torch


class DeviceUnavailable(Exception):
    """The settings ask for a device that this machine does not have; the sentence says what to set instead."""


def choose(device: str, threads: int) -> torch.device:
    """The device that `auto`, `cpu`, `cuda` or `cuda:<n>` means here; also gives each CPU operator `threads` threads.

    A GPU always comes back with its index. Raises `DeviceUnavailable`.
    """
    torch.set_num_threads(threads)
    with suppress(RuntimeError):  # a pool that runs already keeps its size
        torch.set_num_interop_threads(1)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    chosen = torch.device(device)
    return chosen if chosen.type == "cpu" else _gpu(chosen.index or 0)


def _gpu(index: int) -> torch.device:
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if index >= count:
        there = f"GPUs 0 to {count - 1}" if count > 1 else "GPU 0 alone" if count else "no GPU"
        raise DeviceUnavailable(f"cuda:{index} is asked for, and torch sees {there}: set OCELLI_DEVICE to auto or cpu.")
    return torch.device("cuda", index)
