"""CLIP as the serving core sees it.

read        version directory -> towers, image path and tokenizer in host memory
use         onto the device, with an empty cache of text vectors
preprocess  text -> token ids, bytes -> pixels
predict     pictures -> image tower; texts that are not in the cache -> text tower; one vector each
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from services.clip import weights
from services.clip.items import Embedding, Item, Vector
from services.clip.towers import Ids, Towers
from services.clip.weights import State
from shared.accel.backends import EAGER
from shared.accel.on_device import DeviceModel
from shared.accel.pixels import prepare
from shared.errors import InvalidRequest
from shared.serving.cache import Cache
from shared.serving.model import Case, RefusedWeights

__all__ = ["Clip", "Embedding", "Features", "Item"]

REMEMBERED = 10_000  # text vectors; 20 MB where they have 512 numbers


@dataclass(frozen=True, slots=True)
class Features:
    """An item ready for the towers: the token ids of a text, or the pixels of a picture."""

    ids: Ids | None = None
    pixels: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Serving:
    """The weights in use, and what they have read."""

    state: State
    towers: Towers
    texts: Cache[Ids, Vector]


class Clip(DeviceModel[Item, Features, Embedding, State]):
    """A CLIP of any size, for texts and pictures mixed in one batch."""

    _in_use: Serving | None = None

    @property
    def serving(self) -> Serving:
        """The weights in use."""
        if self._in_use is None:
            raise RefusedWeights("This CLIP has no weights yet.")
        return self._in_use

    @property
    def space(self) -> str:
        """The id of the space that vectors lie in; only vectors of one space may be compared."""
        return self.serving.state.space

    @property
    def dimensions(self) -> int:
        """Numbers of a vector."""
        return self.serving.state.dimensions

    @property
    def matryoshka(self) -> bool:
        """Whether the weights were trained so that the first numbers of a vector are a vector of their own."""
        return self.serving.state.matryoshka

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied with before a softmax."""
        return self.serving.state.logit_scale

    def read(self, path: Path) -> State:
        """Read a verified version directory into host memory. Raises `RefusedWeights`."""
        return weights.read(path, self.dtype, self.backend)

    def use(self, state: State) -> None:
        """Move `state` to the device and answer from it."""
        towers = Towers(state.module, self.device, state.pixels, image_tower=state.image_tower)
        self._in_use = Serving(state, towers, Cache(REMEMBERED, model=state.name, name="texts"))

    def preprocess(self, item: Item) -> Features:
        """Tokenise the text, or decode and resize the picture. Raises an `OcelliError` (4xx)."""
        state = self.serving.state
        if item.text is not None:
            return Features(ids=self._ids(item.text, item.field))
        if item.data is None:
            raise InvalidRequest("Send a text or a picture.", param=item.field)
        return Features(pixels=prepare(item.data, state.pixels, self.limits, field=item.field))

    def _ids(self, text: str, field: str) -> Ids:
        state = self.serving.state
        ids = state.tokenizer.ids(text)
        if len(ids) > state.context:
            raise InvalidRequest(
                f"The text has {len(ids)} tokens, its begin and end marks included, and this model reads at most "
                f"{state.context}. Shorten it.",
                code="text_too_long",
                param=field,
            )
        return ids

    def cost(self, features: Features) -> int:
        """Pixels of the input; a token counts as much as a patch of a picture, since a tower works as much on it."""
        state = self.serving.state
        if features.ids is not None:
            return len(features.ids) * state.patch**2
        height, width = state.pixels.shape
        return height * width

    def predict(self, batch: Sequence[Features]) -> Sequence[Embedding]:
        """Embed every item of `batch`; a tower that nothing needs does not run."""
        serving = self.serving
        seen = iter(_see(serving, [one.pixels for one in batch if one.pixels is not None]))
        said = _read(serving, (one.ids for one in batch if one.ids is not None))
        return [
            Embedding(next(seen) if one.ids is None else said[one.ids], len(one.ids or ()), serving.state.space)
            for one in batch
        ]

    def example(self) -> Item:
        """A grey picture of 640 x 480."""
        file = io.BytesIO()
        Image.new("RGB", (640, 480), (128, 128, 128)).save(file, "PNG")
        return Item(data=file.getvalue())

    def golden(self) -> Sequence[Case[Item, Embedding]]:
        """The golden cases of the weights in use."""
        return self.serving.state.golden

    def describe(self) -> Mapping[str, Any]:
        """Capabilities, the embedding space, limits, device, number type and backend of the weights in use."""
        serving = self.serving
        return {
            "capabilities": ["embed", "classify"],
            "embedding_space": serving.state.space,
            "dimensions": serving.state.dimensions,
            "matryoshka": serving.state.matryoshka,
            "context_length": serving.state.context,
            "device": str(self.device),
            "dtype": str(serving.towers.dtype).removeprefix("torch."),
            "backend": EAGER.name if serving.state.image_tower is None else self.backend.name,
        }


def _see(serving: Serving, pictures: Sequence[Tensor]) -> Iterable[Vector]:
    """The vector of each picture."""
    if not pictures:
        return ()
    vectors: Vector = serving.towers.see(pictures).cpu().numpy()
    return vectors


def _read(serving: Serving, texts: Iterable[Ids]) -> Mapping[Ids, Vector]:
    """The vector of each distinct text: remembered, or read now."""
    remembered = {ids: serving.texts.get(ids) for ids in dict.fromkeys(texts)}
    vectors = {ids: vector for ids, vector in remembered.items() if vector is not None}
    new = [ids for ids, vector in remembered.items() if vector is None]
    if new:
        for ids, row in zip(new, serving.towers.read(new).cpu().numpy(), strict=True):
            vectors[ids] = row.copy()  # a row alone would keep its whole batch in memory
            vectors[ids].flags.writeable = False  # many requests will share it
            serving.texts.put(ids, vectors[ids])
    return vectors
