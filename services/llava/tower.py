"""The eyes of LLaVA: pixels -> features in the space of the tokens, remembered by what the picture shows."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from services.llava.prompt import Digest
from shared.accel.pixels import PixelConfig, normalise
from shared.serving.metrics import CACHE_REQUESTS


class Tower:
    """The vision tower and the projector, and the features of the pictures that were seen last."""

    def __init__(self, llava: Any, pixels: PixelConfig, *, device: torch.device, keep: int, name: str) -> None:
        """`keep` is how many bytes of features are remembered; looks at them are counted under the model's `name`."""
        self._llava, self._pixels, self._device, self._keep = llava, pixels, device, keep
        self._features: OrderedDict[Digest, Tensor] = OrderedDict()
        self._bytes = 0
        self._hits, self._misses = (CACHE_REQUESTS.labels(name, "pictures", outcome) for outcome in ("hit", "miss"))

    def knows(self, digest: Digest) -> bool:
        """Whether a picture need not be looked at again."""
        return digest in self._features

    @torch.inference_mode()
    def see(self, pictures: Mapping[Digest, Tensor]) -> Mapping[Digest, Tensor]:
        """uint8 `[3, h, w]` of each picture -> its features `[tokens, d]`; new ones are looked at in one batch."""
        seen = {digest: self._features[digest] for digest in pictures if digest in self._features}
        for digest in seen:
            self._features.move_to_end(digest)
        new = [digest for digest in pictures if digest not in seen]
        self._hits.inc(len(seen))
        self._misses.inc(len(new))
        if new:
            pixels = normalise(torch.stack([pictures[each] for each in new]).to(self._device), self._pixels)
            features = self._llava.get_image_features(pixel_values=pixels.to(self._llava.dtype)).pooler_output
            for digest, each in zip(new, features, strict=True):
                seen[digest] = each
                self._remember(digest, each)
        return seen

    def _remember(self, digest: Digest, features: Tensor) -> None:
        self._features[digest] = features.clone()  # one alone would keep its whole batch
        self._bytes += features.nbytes
        while self._bytes > self._keep and len(self._features) > 1:
            _, oldest = self._features.popitem(last=False)
            self._bytes -= oldest.nbytes
