"""Pictures on their way into training, prepared as serving prepares them."""

from torch import Tensor

from services.finetune.data.examples import Source
from services.finetune.errors import DataError
from shared.accel.pixels import PixelConfig, prepare
from shared.errors import OcelliError
from shared.settings import Limits

ROOM = 1 << 30  # bytes of prepared pictures that are kept


class Pictures:
    """Reads and prepares pictures; those that have room in memory are read once."""

    def __init__(self, config: PixelConfig, *, room: int = ROOM) -> None:
        self.config = config
        self._limits, self._room = Limits(), room
        self._kept: dict[Source, Tensor] = {}

    def __getitem__(self, source: Source) -> Tensor:
        """uint8 `[3, height, width]`. Raises `DataError` for a picture that serving would refuse."""
        kept = self._kept.get(source)
        if kept is not None:
            return kept
        try:
            pixels = prepare(source.read(), self.config, self._limits)
        except OcelliError as error:
            raise DataError(f"{source}: {error.message}") from error
        if self._room >= pixels.nbytes:
            self._room -= pixels.nbytes
            self._kept[source] = pixels
        return pixels
