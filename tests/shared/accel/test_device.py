"""Which device the settings mean."""

import pytest
import torch

from shared.accel.device import DeviceUnavailable, choose


def test_cpu_is_the_cpu_with_the_threads_that_were_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        assert choose("cpu", 2) == torch.device("cpu")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_auto_takes_what_the_machine_has() -> None:
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert choose("auto", 1) == expected


@pytest.mark.parametrize("device", ["cuda:97", "cuda:15"])
def test_a_gpu_that_is_not_there_stops_the_start(device: str) -> None:
    with pytest.raises(DeviceUnavailable, match=rf"{device} is asked for.*set OCELLI_DEVICE to auto or cpu"):
        choose(device, 1)
