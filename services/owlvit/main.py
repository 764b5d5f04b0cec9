"""The open-vocabulary detection service: which models, which routes, which settings."""

from typing import ClassVar

from pydantic import Field

from services.owlvit.model import OwlVit
from services.owlvit.routes import direct
from shared.serving.app import run
from shared.serving.service import Service
from shared.settings import Names, Port, TowerSettings


class OwlVitSettings(TowerSettings):
    """Settings of the open-vocabulary detection service."""

    service: ClassVar[str] = "owlvit"

    port: Port = Field(8003, description="data port")
    models: Names = Field(("owlvit",), description="models to serve, as name or name@version; the first is the default")


def main() -> None:
    """Serve until told to stop."""
    settings = OwlVitSettings.load()
    detector = OwlVit.factory(settings, backend=settings.backend)
    run(Service(settings, detector), direct, title="Ocelli open-vocabulary detection")
