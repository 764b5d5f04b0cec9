"""The detection service: which models, which routes, which settings."""

from typing import ClassVar

from pydantic import Field

from services.detection.model import Detector
from services.detection.routes import direct, router
from shared.serving.app import run
from shared.serving.service import Service
from shared.settings import Names, Port, ServiceSettings


class DetectionSettings(ServiceSettings):
    """Settings of the detection service."""

    service: ClassVar[str] = "detection"

    port: Port = Field(8001, description="data port")
    models: Names = Field(
        ("faster-rcnn", "ssd", "mask-rcnn"),
        description="models to serve, as name or name@version; the first is the default",
    )


def main() -> None:
    """Serve until told to stop."""
    settings = DetectionSettings.load()
    detector = Detector.factory(settings)
    run(Service(settings, detector), direct, router, title="Ocelli detection")
