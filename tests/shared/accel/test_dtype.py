"""Which number type the settings mean, and that the probe measures."""

import pytest
import torch

from shared.accel.dtype import PAYS, ROWS, choose_dtype, cpu_gains

CPU = torch.device("cpu")


@pytest.mark.parametrize(("setting", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_a_named_type_is_taken_as_it_is(setting: str, dtype: torch.dtype) -> None:
    assert choose_dtype(setting, CPU) is dtype


def test_auto_on_a_cpu_follows_the_slower_of_the_two_probes() -> None:
    gains = cpu_gains()
    assert len(gains) == len(ROWS)
    assert all(0.01 < gain < 100 for gain in gains)
    assert choose_dtype("auto", CPU) is (torch.bfloat16 if min(gains) >= PAYS else torch.float32)
