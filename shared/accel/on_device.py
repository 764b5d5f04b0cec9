"""What all models on a torch device do alike: how they are made, memory, warm-up, pulse, the meaning of errors."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import torch

from shared.accel.backends import EAGER, Backend, BackendUnavailable, choose_backend
from shared.accel.device import DeviceUnavailable, choose
from shared.accel.dtype import choose_dtype
from shared.accel.errors import classify
from shared.accel.host_memory import available
from shared.serving.model import Features, Item, Model, Result, State
from shared.settings import Limits, ServiceSettings, stop
from shared.weights.tensors import tensors


class DeviceModel(Model[Item, Features, Result, State]):
    """A model whose network runs on a torch device."""

    def __init__(
        self,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        *,
        limits: Limits | None = None,
        backend: Backend = EAGER,
    ) -> None:
        """`dtype` is what the network may run in; `limits` bound the pictures before they are decoded.

        `backend` runs the vision tower of the models that have one.
        """
        self.device, self.dtype, self.limits, self.backend = device, dtype, limits or Limits(), backend

    @classmethod
    def factory(cls, settings: ServiceSettings, *, backend: str = EAGER.name) -> Callable[[], Self]:
        """What makes empty models for the names of one process; exits with 78 for what this machine does not have."""
        try:
            device = choose(settings.device, settings.threads)
            chosen = choose_backend(backend, device, settings.threads)
        except (DeviceUnavailable, BackendUnavailable) as error:
            stop(str(error))
        dtype = choose_dtype(settings.dtype, device)
        return lambda: cls(device, dtype, limits=settings.limits, backend=chosen)

    def memory(self) -> Mapping[str, int]:
        """Bytes of the GPU's memory that this process holds; empty on a CPU."""
        if self.device.type != "cuda":
            return {}
        allocated, reserved = torch.cuda.memory_allocated(self.device), torch.cuda.memory_reserved(self.device)
        return {"allocated": allocated, "reserved": reserved}

    def spare(self) -> int | None:
        """Bytes that are free on the device, what the allocator holds in stock included."""
        if self.device.type != "cuda":
            return available()
        held = self.memory()
        free: int = torch.cuda.mem_get_info(self.device)[0]
        return free + held["reserved"] - held["allocated"]

    def demand(self, path: Path) -> int:
        """Bytes of the version's tensors in the number type that serves, and a fifth on top for what they work on."""
        headers = (tensors(file) for file in path.rglob("*.safetensors"))
        numbers = sum(math.prod(tensor.shape) for header in headers for tensor in header.values())
        return int(1.2 * numbers * self.dtype.itemsize)

    def warm_sizes(self, max_batch: int) -> Sequence[int]:
        """On a GPU each power of two, since kernels are chosen per size; on a CPU one item tells enough."""
        sizes = [2**n for n in range(max_batch.bit_length())]
        return sizes if self.device.type == "cuda" else (1,)

    def pulse(self) -> None:
        """Touch the GPU, so that a lost one shows."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def classify(self, error: BaseException) -> BaseException:
        """Tell a full and a lost device from an error of one batch."""
        return classify(error)
