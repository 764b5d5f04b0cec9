"""What an error of the device library means for the process."""

import pytest
import torch

from shared.accel.errors import classify
from shared.serving.model import DeviceLost, DeviceOutOfMemory


def accelerator_error(code: int) -> RuntimeError:
    error: RuntimeError = torch.AcceleratorError("CUDA error: of some kind")
    error.error_code = code  # type: ignore[attr-defined]
    return error


def test_an_allocation_that_fails_on_the_cpu_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(10**15)
    assert isinstance(classify(raised.value), DeviceOutOfMemory)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
        MemoryError(),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=repr,
)
def test_a_full_device_is_out_of_memory(error: BaseException) -> None:
    assert isinstance(classify(error), DeviceOutOfMemory)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: uncorrectable ECC error encountered"),
        RuntimeError("CUDA error: unspecified launch failure"),
        accelerator_error(710),
        accelerator_error(214),
    ],
    ids=repr,
)
def test_an_error_that_every_later_call_repeats_is_a_lost_device(error: BaseException) -> None:
    assert isinstance(classify(error), DeviceLost)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("device-side assert"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        accelerator_error(9),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_any_other_error_stays_what_it_is(error: BaseException) -> None:
    assert classify(error) is error


def test_the_sentence_is_ours_and_not_the_library_s() -> None:
    told = str(classify(RuntimeError("CUDA error: device-side assert triggered at /home/user/kernel.cu:12")))
    assert "kernel.cu" not in told
