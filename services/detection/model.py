"""The detector as the serving core sees it.

read        version directory -> network in host memory
use         onto the device
preprocess  labels -> class ids, bytes -> pixels -> the network's input (on a GPU the last step runs with the batch)
predict     one run of the network per padded size -> detections of all pictures -> one copy back to the host
"""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from services.detection import weights
from services.detection.architectures import GAP
from services.detection.networks import Batch, Network, place
from services.detection.parameters import Ask, Item, Parameters, Wanted, ask
from services.detection.pictures import Geometry, geometry, normalise, pad, stack_sizes
from services.detection.results import Found, collect
from services.detection.weights import State
from shared.accel.on_device import DeviceModel
from shared.images.decode import decode
from shared.images.detections import Detections
from shared.laps import lap
from shared.serving.model import Case, RefusedWeights

__all__ = ["Detector", "Features", "Item", "Parameters"]


@dataclass(frozen=True, slots=True)
class Features:
    """A picture ready for the network: float32 [3, h, w], or uint8 [h, w, 3] where a GPU resizes it."""

    pixels: Tensor
    sizes: Geometry
    ask: Ask


@dataclass(frozen=True, slots=True)
class Serving:
    """The weights in use."""

    state: State
    network: Network
    ids: Mapping[str, int]

    @property
    def transform(self) -> Any:
        """torchvision's GeneralizedRCNNTransform of this network."""
        return self.state.module.transform


class Detector(DeviceModel[Item, Features, Detections, State]):
    """A torchvision detector of the Faster R-CNN, Mask R-CNN or SSD family."""

    _in_use: Serving | None = None

    @property
    def serving(self) -> Serving:
        """The weights in use."""
        if self._in_use is None:
            raise RefusedWeights("This detector has no weights yet.")
        return self._in_use

    @property
    def labels(self) -> Mapping[str, int]:
        """The classes of the weights in use, and the id of each."""
        return self.serving.ids

    @property
    def finds_masks(self) -> bool:
        """Whether a request may ask for masks."""
        return self.serving.network.finds_masks

    def read(self, path: Path) -> State:
        """Read a verified version directory into host memory. Raises `RefusedWeights`."""
        return weights.read(path)

    def use(self, state: State) -> None:
        """Move `state` to the device and answer from it."""
        network = place(state.module, self.device, self.dtype)
        ids = {label: number for number, label in enumerate(state.config.labels, start=1) if label != GAP}
        self._in_use = Serving(state, network, ids)

    def preprocess(self, item: Item) -> Features:
        """Check the parameters, decode, and on a CPU normalise and resize. Raises an `OcelliError` (4xx)."""
        serving = self.serving
        network = serving.network
        asked = ask(item.parameters, ids=serving.ids, iou=network.iou, masks=network.finds_masks)
        with lap("decode"):
            picture = decode(item.data, self.limits, field=item.field)
        sizes = geometry((picture.height, picture.width), serving.transform, field=item.field)
        pixels = torch.from_numpy(picture.pixels)
        if self.device.type == "cpu":
            with torch.inference_mode():
                pixels = normalise(pixels, serving.transform)
        return Features(pixels, sizes, asked)

    def cost(self, features: Features) -> int:
        """Pixels of the padded input."""
        height, width = features.sizes.padded
        return height * width

    def predict(self, batch: Sequence[Features]) -> Sequence[Detections]:
        """Detect in every picture of `batch`.

        Pictures share a run of the network only if their padded sizes are the same. So padding depends on a picture
        alone and never on its batch-mates, and neither does its answer: convolutions see the padding near the border.
        """
        serving = self.serving
        groups = defaultdict(list)
        for index, one in enumerate(batch):
            groups[one.sizes.padded].append(index)
        with torch.inference_mode():
            found = [self._detect(serving, [batch[i] for i in group], group) for group in groups.values()]
            return collect(
                found,
                pictures=[one.sizes.picture for one in batch],
                masked=[one.ask.masks for one in batch],
                labels=serving.state.config.labels,
            )

    def _detect(self, serving: Serving, batch: Sequence[Features], positions: Sequence[int]) -> Found:
        """One run of the network, on pictures of one padded size; `positions` are theirs in the whole batch."""
        images = [one.pixels.to(self.device) for one in batch]
        if self.device.type != "cpu":
            images = [normalise(image, serving.transform) for image in images]
        geometries = [one.sizes for one in batch]
        sizes, factors = stack_sizes(geometries, self.device)
        wanted = Wanted.of(
            [one.ask for one in batch],
            floor=serving.network.floor,
            classes=serving.state.config.classes,
            device=self.device,
        )
        detections, masks = serving.network.detect(Batch(pad(images, geometries), sizes, wanted))
        return Found(detections, masks, factors, positions)

    def example(self) -> Item:
        """A grey picture of 640 x 480."""
        file = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(file, "PNG")
        return Item(file.getvalue())

    def golden(self) -> Sequence[Case[Item, Detections]]:
        """The golden cases of the weights in use."""
        return self.serving.state.golden

    def describe(self) -> Mapping[str, Any]:
        """Capabilities, architecture, number of classes, device and number type of the weights in use."""
        serving = self.serving
        return {
            "capabilities": ["detection", "masks"] if self.finds_masks else ["detection"],
            "architecture": serving.state.config.architecture,
            "classes": len(serving.ids),
            "device": str(self.device),
            "dtype": str(serving.network.dtype).removeprefix("torch."),
        }
