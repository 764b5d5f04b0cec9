"""A torch module as a network of OpenVINO's on the CPU, with torch tensors in and out.

export with a batch of any size -> convert, sharing the weights' memory -> compile for one batch at a time

Exported, not traced: torch.jit.trace is deprecated, and kept 27 MB of a small network at each push.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from shared.accel.backends import Tower

HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


def compiled(module: nn.Module, examples: Tensor, *, dtype: torch.dtype, threads: int) -> Tower:
    """The float32 `module`, compiled to run in `dtype` with `threads` CPU threads, for inputs shaped as `examples`."""
    openvino = _openvino()
    sizes = {0: torch.export.Dim.DYNAMIC}
    with torch.no_grad(), _without_known_complaints():
        program = torch.export.export(module, (examples,), dynamic_shapes=(sizes,))
        network = openvino.convert_model(program, input=[-1, *examples.shape[1:]])
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": HINTS[dtype],
        "ENABLE_CPU_PINNING": False,  # its default: several processes pin themselves to the same cores
    }
    executable = openvino.Core().compile_model(network, "CPU", settings)

    def run(inputs: Tensor) -> Tensor:
        (outputs,) = executable([inputs.numpy()], share_inputs=True).values()  # the outputs are a copy
        return torch.from_numpy(outputs)

    return run


def _openvino() -> Any:
    """The package, without the one through which its import alone reports to its maker over the network."""
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # what Python documents as "not installed"
    import openvino

    return openvino


@contextmanager
def _without_known_complaints() -> Iterator[None]:
    """Its converter logs two tracebacks about operators that this torch does not have and our networks do not use."""

    def wanted(record: logging.LogRecord) -> bool:
        return "not found in decomp table" not in str(record.msg)

    root = logging.getLogger()
    root.addFilter(wanted)
    try:
        yield
    finally:
        root.removeFilter(wanted)
