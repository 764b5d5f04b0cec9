"""What an error of the device library means for the process.

no memory        -> DeviceOutOfMemory   the batch is halved
the device fails -> DeviceLost          every later call fails too: the process ends and starts anew
anything else    -> as it is            an error of this one batch
"""

import torch

from shared.serving.model import DeviceLost, DeviceOutOfMemory

# Errors of the CUDA runtime that leave the context usable: invalid value and configuration, no such kernel,
# too many resources for one launch.
HARMLESS = frozenset({1, 9, 98, 209, 701})
NO_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "CUDA error: out of memory",
    "_STATUS_ALLOC_FAILED",
)
LOST = (
    "device-side assert",
    "illegal memory access",
    "illegal instruction",
    "illegal address",
    "misaligned address",
    "unspecified launch failure",
    "launch timed out",
    "ECC error",
    "hardware stack error",
    "context is destroyed",
    "busy or unavailable",
    "device has been lost",
    "_STATUS_EXECUTION_FAILED",
)


def classify(error: BaseException) -> BaseException:
    """`error` as `DeviceOutOfMemory` or `DeviceLost` with a sentence of our own, or itself."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or _tells(error, NO_MEMORY):
        return DeviceOutOfMemory("The batch needs more memory than the device has left.")
    if _tells(error, LOST) or _sticky(error):
        return DeviceLost("The device failed and stays failed.")
    return error


def _tells(error: BaseException, phrases: tuple[str, ...]) -> bool:
    return isinstance(error, RuntimeError) and any(phrase in str(error) for phrase in phrases)


def _sticky(error: BaseException) -> bool:
    kind: type[BaseException] | None = getattr(torch, "AcceleratorError", None)  # not in every torch of our range
    return kind is not None and isinstance(error, kind) and getattr(error, "error_code", None) not in HARMLESS
