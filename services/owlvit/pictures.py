"""Pictures on their way into the network, and boxes on their way between a picture and the network's input.

OWL-ViT squeezes a picture into a square; OWLv2 fills it up to one. Either way the corners of the input, in 0-1, are
pixels of the picture after one multiplication per axis.
"""

from dataclasses import dataclass

from torch import Tensor

from services.owlvit.queries import Corners
from shared.accel.pixels import PixelConfig, prepare
from shared.errors import InvalidRequest
from shared.images.header import CONTAINERS, probe
from shared.settings import Limits


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture ready for the network, uint8 [3, h, w], and its own size in pixels after EXIF orientation."""

    pixels: Tensor
    width: int
    height: int
    square: bool

    @property
    def factors(self) -> Corners:
        """What turns corners in 0-1 of the network's input into pixels of the picture."""
        side = max(self.width, self.height)
        width, height = (side, side) if self.square else (self.width, self.height)
        return (width, height, width, height)

    def relative(self, box: Corners, *, field: str) -> Corners:
        """`box` in 0-1 of the network's input. Raises `InvalidRequest` unless it is a box inside the picture."""
        left, top, right, bottom = box
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            raise InvalidRequest(
                f"'{field}' must be xmin, ymin, xmax, ymax, in this order, inside its picture of "
                f"{self.width} x {self.height} pixels.",
                param=field,
            )
        across, down = self.factors[:2]
        return (left / across, top / down, right / across, bottom / down)


def picture(data: bytes, config: PixelConfig, limits: Limits, *, field: str) -> Picture:
    """Decode and resize. Raises `InvalidImage`, `TooLarge` or `UnsupportedMedia`, each naming `field`."""
    pixels = prepare(data, config, limits, field=field)
    header = probe(data, limits)
    size = header.width, header.height
    if CONTAINERS[header.format].essence(data).orientation >= 5:  # stored lying on its side
        size = size[::-1]
    return Picture(pixels, *size, square=config.square)
