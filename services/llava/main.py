"""The LLaVA service: which models, which routes, which settings."""

from typing import ClassVar

from pydantic import Field

from services.llava.model import Llava
from services.llava.routes import direct
from services.llava.serving import Room
from shared.serving.app import run
from shared.serving.metrics import alias_tokens
from shared.serving.service import Service
from shared.settings import Names, Port, Seconds, ServiceSettings


class LlavaSettings(ServiceSettings):
    """Settings of the LLaVA service."""

    service: ClassVar[str] = "llava"

    port: Port = Field(8004, description="data port")
    models: Names = Field(("llava",), description="models to serve, as name or name@version; the first is the default")
    deadline_s: Seconds = Field(300, description="longest time for one answer; X-Request-Deadline-Ms may shorten it")
    max_batch: int = Field(16, ge=1, le=256, description="answers that are spoken at once")
    prefill_tokens: int | None = Field(
        None,
        ge=16,
        description="tokens of prompts that one step reads, a picture twice; if unset, 128 on a CPU, else 2048",
    )
    max_tokens: int = Field(1024, ge=1, description="most tokens of one answer")
    context: int | None = Field(None, ge=16, description="most tokens of prompt and answer; the model's own unless set")
    kv_memory_mb: int | None = Field(
        None,
        ge=1,
        description="memory for keys and values; if unset, 512 on a CPU and 4/5 of what second weights leave on a GPU",
    )
    picture_memory_mb: int = Field(256, ge=1, description="memory for what was seen in pictures")

    @property
    def room(self) -> Room:
        """What the engine may take."""
        return Room(
            rows=self.max_batch,
            budget=self.prefill_tokens,
            memory=None if self.kv_memory_mb is None else self.kv_memory_mb * 2**20,
            pictures=self.picture_memory_mb * 2**20,
            context=self.context,
            answer=self.max_tokens,
        )


def main() -> None:
    """Serve until told to stop."""
    settings = LlavaSettings.load()
    alias_tokens()
    run(Service(settings, Llava.within(settings.room).factory(settings)), direct, title="Ocelli LLaVA")
