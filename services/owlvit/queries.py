"""What a request asks for, as the model takes it: a picture, and either labels or an example of what to find."""

from dataclasses import dataclass

Corners = tuple[float, float, float, float]  # xmin, ymin, xmax, ymax in pixels, after EXIF orientation


@dataclass(frozen=True, slots=True)
class Label:
    """One label: the caller's spelling, its place in the caller's list, and the score that it needs, if any."""

    name: str
    index: int = 0
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class TextQuery:
    """Labels, no two of them equal, and the sentence that each is put into (None: the version's own)."""

    labels: tuple[Label, ...]
    template: str | None = None


@dataclass(frozen=True, slots=True)
class ImageQuery:
    """An encoded picture of what to find, and the box of the object in it (None: the object fills the picture)."""

    data: bytes
    box: Corners | None = None
    field: str = "query_image"


@dataclass(frozen=True, slots=True)
class Parameters:
    """How one picture is to be answered; None stands for the default of the version and the kind of query."""

    threshold: float | None = None
    iou_threshold: float | None = None
    max_detections: int = 100


@dataclass(frozen=True, slots=True)
class Item:
    """One encoded picture, what to find in it, and the field of the request that an error would name."""

    data: bytes
    query: TextQuery | ImageQuery
    parameters: Parameters = Parameters()
    field: str = "image"
