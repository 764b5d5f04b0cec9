"""OWL-ViT and OWLv2 as the serving core sees them.

read        version directory -> network, tokenizer and image path in host memory
use         onto the device, with an empty cache of label embeddings
preprocess  labels -> token ids, bytes -> pixels, all of one size
predict     new phrases -> text tower; all pictures -> backbone, once; queries x patches -> boxes; one copy back
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from services.owlvit import weights
from services.owlvit.embeddings import LabelEmbeddings
from services.owlvit.features import Features, featurise
from services.owlvit.network import Network
from services.owlvit.postprocess import Wanted, select
from services.owlvit.queries import ImageQuery, Item, Label, Parameters, TextQuery
from services.owlvit.results import collect
from services.owlvit.weights import State
from shared.accel.backends import EAGER
from shared.accel.on_device import DeviceModel
from shared.accel.pixels import normalise
from shared.images.detections import Detections
from shared.serving.model import Case, RefusedWeights

__all__ = ["ImageQuery", "Item", "Label", "OwlVit", "Parameters", "TextQuery"]


@dataclass(frozen=True, slots=True)
class Serving:
    """The weights in use."""

    state: State
    network: Network
    embeddings: LabelEmbeddings


class OwlVit(DeviceModel[Item, Features, Detections, State]):
    """An open-vocabulary detector of the OWL family."""

    _in_use: Serving | None = None

    @property
    def serving(self) -> Serving:
        """The weights in use."""
        if self._in_use is None:
            raise RefusedWeights("This detector has no weights yet.")
        return self._in_use

    def read(self, path: Path) -> State:
        """Read a verified version directory into host memory. Raises `RefusedWeights`."""
        return weights.read(path, self.dtype, self.backend)

    def use(self, state: State) -> None:
        """Move `state` to the device and answer from it."""
        network = Network(state.pretrained.module, self.device, self.dtype, backbone=state.backbone)
        self._in_use = Serving(state, network, LabelEmbeddings(network, state.pretrained.config.model_type))

    def preprocess(self, item: Item) -> Features:
        """Tokenise the labels, decode and resize the pictures. Raises an `OcelliError` (4xx)."""
        return featurise(item, self.serving.state, self.limits)

    def cost(self, features: Features) -> int:
        """Pixels that the backbone looks at."""
        return features.cost

    def predict(self, batch: Sequence[Features]) -> Sequence[Detections]:
        """Find in every picture of `batch` what its own query names; label lists of any length share the batch."""
        serving = self.serving
        with torch.inference_mode():
            patches, examples = self._see(serving, batch)
            queries = self._queries(serving, batch, examples)
            factors = torch.tensor([one.picture.factors for one in batch], device=self.device)[:, None]
            boxes = serving.network.boxes(patches) * factors
            wanted = Wanted.of([one.ask for one in batch], self.device)
            table = select(serving.network.logits(patches, queries), boxes, wanted).cpu()
        return collect(
            table,
            pictures=[one.picture for one in batch],
            labels=[one.labels for one in batch],
            limits=[one.ask.limit for one in batch],
        )

    def _see(self, serving: Serving, batch: Sequence[Features]) -> tuple[Tensor, dict[ImageQuery, Tensor]]:
        """The patches of each item's picture [n, p, width], and those of each distinct example [p, width]."""
        shown = {one.example.query: one.example.picture for one in batch if one.example and one.example.picture}
        pixels = torch.stack([seen.pixels for seen in (*(one.picture for one in batch), *shown.values())])
        patches = serving.network.see(normalise(pixels.to(self.device), serving.state.pixels))
        examples = dict(zip(shown, patches[len(batch) :], strict=True))
        for one, own in zip(batch, patches, strict=False):
            if one.example:
                examples.setdefault(one.example.query, own)
        return patches[: len(batch)], examples

    def _queries(
        self, serving: Serving, batch: Sequence[Features], examples: Mapping[ImageQuery, Tensor]
    ) -> list[Tensor]:
        """The query vectors [q, d] of each item: of its phrases, or of the object in its example."""
        texts = iter(serving.embeddings.of([one.phrases for one in batch if one.phrases]))
        queries = []
        for one in batch:
            if one.example:
                box = torch.tensor(one.example.box, device=self.device) if one.example.box else None
                queries.append(serving.network.embed_example(examples[one.example.query], box))
            else:
                queries.append(next(texts))
        return queries

    def example(self) -> Item:
        """A grey picture of 640 x 480 and one label, short enough for any tokenizer."""
        file = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(file, "PNG")
        return Item(file.getvalue(), TextQuery((Label("a"),), "{}"))

    def golden(self) -> Sequence[Case[Item, Detections]]:
        """The golden cases of the weights in use."""
        return self.serving.state.golden

    def describe(self) -> Mapping[str, Any]:
        """Capabilities, architecture, defaults of a request, device, number type and backend of the weights in use."""
        serving = self.serving
        return {
            "capabilities": ["open-detection", "image-query"],
            "architecture": serving.state.pretrained.config.model_type,
            "context_length": serving.state.longest,
            "defaults": serving.state.defaults.model_dump(),
            "device": str(self.device),
            "dtype": str(self.dtype).removeprefix("torch."),
            "backend": EAGER.name if serving.state.backbone is None else self.backend.name,
        }
