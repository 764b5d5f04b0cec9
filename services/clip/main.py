"""The CLIP service: which models, which routes, which settings."""

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from services.clip.labelsets import InvalidLabelSets, read_label_sets
from services.clip.model import Clip
from services.clip.routes import direct, router
from services.clip.service import ClipService
from shared.serving.app import run
from shared.settings import Names, Port, TowerSettings, stop


class ClipSettings(TowerSettings):
    """Settings of the CLIP service."""

    service: ClassVar[str] = "clip"

    port: Port = Field(8002, description="data port")
    models: Names = Field(("clip",), description="models to serve, as name or name@version; the first is the default")
    label_sets: Path | None = Field(None, description="JSON file of label sets that come on top of the shipped ones")


def main() -> None:
    """Serve until told to stop."""
    settings = ClipSettings.load()
    try:
        sets = read_label_sets(settings.label_sets)
    except InvalidLabelSets as error:
        stop(f"OCELLI_LABEL_SETS: {error}")
    clip = Clip.factory(settings, backend=settings.backend)
    run(ClipService(settings, clip, sets), direct, router, title="Ocelli CLIP")
