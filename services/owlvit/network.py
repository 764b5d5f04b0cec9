"""OWL-ViT and OWLv2 on a device, in the four steps that serving needs (https://arxiv.org/abs/2205.06230).

see            pictures -> a vector per patch           the backbone, in the network's number type
embed_text     phrases -> a query vector each           once per new phrase
embed_example  an object in a picture -> its vector     as the paper does it; OWLv2 by its objectness
detect         patches x queries -> boxes and logits    two small heads, in float32

transformers' own forward does all of it every time, the text tower included, and masks no padded query.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from torchvision.ops import box_convert, box_iou, generalized_box_iou

from services.owlvit.phrases import Ids
from shared.accel.backends import Tower
from shared.accel.placed import placed

NEAR = 0.8  # of the best overlap: the paper's, and transformers'


class Backbone(nn.Module):
    """What sees the pictures: normalised ones [n, 3, h, w] -> patches [n, p, width]."""

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.vision, self.norm = detector.base_model.vision_model, detector.layer_norm

    def forward(self, pictures: Tensor) -> Tensor:
        """What transformers' `image_embedder` does: each patch times the class token, normalised."""
        seen = self.vision(pixel_values=pictures.to(self.norm.weight.dtype)).last_hidden_state
        whole, patches = self.vision.post_layernorm(seen).tensor_split([1], dim=1)
        vectors: Tensor = self.norm(patches * whole)
        return vectors


class Network:
    """A detector of the OWL family with its weights."""

    def __init__(self, module: Any, device: torch.device, dtype: torch.dtype, *, backbone: Tower | None = None) -> None:
        """Moves `module`, an `OwlViTForObjectDetection` or `Owlv2ForObjectDetection`, to `device`.

        `backbone` is the one of `module` as another backend runs it.
        """
        self.module, self.device = placed(module, device), device
        self.towers = module.base_model
        self._backbone = Backbone(module).to(dtype) if backbone is None else backbone

    def see(self, pictures: Tensor) -> Tensor:
        """Normalised pictures [n, 3, h, w] -> patches [n, p, width], float32."""
        return self._backbone(pictures).float()

    def embed_text(self, phrases: Sequence[Ids]) -> Tensor:
        """Token ids -> query vectors [k, d] of unit length.

        Padding stands behind the end of each text, where the causal mask hides it from the end, whose vector is taken.
        """
        ids = pad_sequence([torch.tensor(one) for one in phrases], batch_first=True).to(self.device)
        pooled = self.towers.text_model(input_ids=ids).pooler_output
        vectors: Tensor = self.towers.text_projection(pooled)
        return F.normalize(vectors, dim=-1)

    def embed_example(self, patches: Tensor, box: Tensor | None) -> Tensor:
        """The query vector [1, d] of the object in `box` [4], corners in 0-1, of a picture's patches [p, width].

        Without a box, the most object-like patch (OWLv2), or the object that fills the picture (OWL-ViT).
        """
        vectors = self.module.class_predictor(patches[None])[1][0]
        if box is None and hasattr(self.module, "objectness_predictor"):
            return _pick(vectors, self.module.objectness_predictor(patches[None])[0])
        whole = box if box is not None else torch.tensor([0.0, 0.0, 1.0, 1.0], device=self.device)
        return _most_distinct(vectors, _overlaps(whole, self.boxes(patches[None])[0]))

    def boxes(self, patches: Tensor) -> Tensor:
        """Patches [n, p, width] -> one box each, corners in 0-1 of the input [n, p, 4]."""
        boxes: Tensor = box_convert(self.module.box_predictor(patches, patches), "cxcywh", "xyxy")
        return boxes

    def logits(self, patches: Tensor, queries: Sequence[Tensor]) -> Tensor:
        """Patches [n, p, width] against the query vectors of each picture [q_i, d] -> [n, p, max q].

        Columns beyond a picture's own queries hold the lowest number there is, which no real logit comes near.
        """
        counts = torch.tensor([len(own) for own in queries], device=self.device)
        padded = pad_sequence(list(queries), batch_first=True)
        mask = torch.arange(padded.shape[1], device=self.device) < counts[:, None]
        logits: Tensor = self.module.class_predictor(patches, padded, mask)[0]
        return logits


def _overlaps(box: Tensor, candidates: Tensor) -> Tensor:
    """IoU [p] of `box` with each candidate; generalised where it touches none, so that the nearest is told."""
    plain = box_iou(box[None], candidates)[0]
    return torch.where(plain.any(), plain, generalized_box_iou(box[None], candidates)[0])


def _most_distinct(vectors: Tensor, overlaps: Tensor) -> Tensor:
    """Of the `vectors` [p, d] whose boxes overlap nearly as well as the best, the one least like the average patch.

    Most patches show background, so what is unlike them is the object.
    """
    best = overlaps.max()
    near = overlaps >= torch.minimum(best, best * NEAR)  # the generalised overlap may be below zero
    likeness = (vectors @ vectors.mean(dim=0)).masked_fill(~near, torch.inf)
    return _pick(vectors, -likeness)


def _pick(vectors: Tensor, scores: Tensor) -> Tensor:
    """The vector [1, d] of the highest of `scores` [p]; the device alone learns which."""
    return vectors.index_select(0, scores.argmax(keepdim=True))
