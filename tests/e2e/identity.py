"""`python -m tests.e2e.identity`: the real serving core around a model that reads a number out of a picture's pixels.

It stands behind the gateway in place of detection, where a test must know which answer belongs to which picture.
A number that ends in 13 is poison: the batch that has it raises. `OCELLI_STEP_MS` is the time of one batch.
"""

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from shared.images.decode import decode
from shared.serving.app import DirectRoute, answer_headers, deadline_of, run, service_of
from shared.serving.model import Identity, Model
from shared.serving.reading import read_request
from shared.serving.service import Service
from shared.serving.swap import Swaps
from shared.settings import Limits, Names, ServiceSettings

router = APIRouter(route_class=DirectRoute)
UNDECODED = b"number:"  # a body that starts so is its number in digits: for measurements without decoding


class IdentitySettings(ServiceSettings):
    service: ClassVar[str] = "detection"

    models: Names = ("identity",)


class NoParameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Reader(Model[bytes, int, int, None]):
    """Reads the number whose bits are the black and white blocks of a picture."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def read(self, path: Path) -> None:
        return None

    def use(self, state: None) -> None:
        return None

    def preprocess(self, item: bytes) -> int:
        if item.startswith(UNDECODED):
            return int(item[len(UNDECODED) :].split(b"\0", 1)[0])
        pixels = decode(item, Limits()).pixels
        bits = pixels[4::8, 4::8, 0].flatten() > 127
        return int(np.packbits(bits)[:4].view(">u4")[0])

    def predict(self, batch: Sequence[int]) -> Sequence[int]:
        time.sleep(self.seconds)
        if any(number % 100 == 13 for number in batch):
            raise RuntimeError("poison")
        return batch

    def example(self) -> bytes:
        return UNDECODED + b"0"


class IdentityService(Service):
    """A service whose weights are none."""

    async def start(self) -> None:
        self.settings.state.mkdir(parents=True, exist_ok=True)
        await super().start()

    async def _load(self, swaps: Swaps, name: str) -> None:
        await asyncio.sleep(0)
        await self.running.take_over(name, Path(), Identity(name, "v1", "sha256:0"))


@router.post("/v1/detect")
async def identify(request: Request) -> Response:
    service = service_of(request)
    deadline = deadline_of(request, service)
    upload, _ = await read_request(request, service, NoParameters)
    answers = await service.running.infer_all("identity", upload.images, deadline=deadline)
    return Response(str(answers[0].result), headers=answer_headers(answers))


if __name__ == "__main__":
    step = float(os.environ.pop("OCELLI_STEP_MS", "20")) / 1000
    settings = IdentitySettings.load()
    run(IdentityService(settings, lambda: Reader(step)), router, title="identity")
