"""What OWL-ViT learns from: pictures against the names of their objects (https://arxiv.org/abs/2205.06230).

pictures, phrases -> boxes and logits of every patch -> one patch for each object -> loss of the set
pictures and phrases of replay -> distance from what the base says of them, patch by patch
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from services.finetune.demo.owlvit_loss import Match, box_cost, set_loss
from services.finetune.owlvit.matching import assign
from services.finetune.towers.memory import Memory
from services.finetune.training.together import share
from services.owlvit.network import Backbone

KEEP = 2.0  # weight of the distance from the base
SCORE = 2.0  # weight of a score in the cost of a patch, as in the paper


class Seen(NamedTuple):
    """What the patches of pictures say to queries."""

    queries: Tensor  # [queries, width]
    logits: Tensor  # [pictures, patches, queries]
    boxes: Tensor  # [pictures, patches, 4] centre and size in 0-1
    embeddings: Tensor  # [pictures, patches, width]


class Finder(nn.Module):
    """An OWL-ViT or OWLv2 that is taught."""

    def __init__(self, network: Any, memory: Memory) -> None:
        super().__init__()
        self.network, self._memory = network, memory

    def forward(
        self, pixels: Tensor, ids: Tensor, known: Tensor, known_queries: Tensor, objects: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """The `loss` of a batch.

        Pixels [n, 3, h, w], ids [q, tokens], known [n], known_queries [q]; of the objects the boxes [k, 4], the
        pictures [k] that they are in, and the labels [k], which are numbers of queries.
        """
        seen = see(self.network, pixels, ids)
        match = matched(seen, **objects)
        counts = torch.tensor([len(match.patches), int(known.sum())], dtype=torch.float32, device=pixels.device)
        objects_share, known_share = share(counts)
        loss = objects_share * set_loss(seen.logits, seen.boxes, match)
        if known.any():
            with torch.no_grad():
                before = see(self._memory.on(pixels.device), pixels[known], ids)
            loss = loss + KEEP * known_share * moved(before, seen, known=known, known_queries=known_queries)
        return {"loss": loss}


def see(network: Any, pixels: Tensor, ids: Tensor) -> Seen:
    """All that the network says, as serving computes it."""
    patches = Backbone(network)(pixels).float()
    pooled = network.base_model.text_model(input_ids=ids).pooler_output
    queries = F.normalize(network.base_model.text_projection(pooled).float(), dim=-1)
    logits, embeddings = network.class_predictor(patches, queries.expand(len(pixels), -1, -1))
    return Seen(queries, logits, network.box_predictor(patches, patches), embeddings)


@torch.no_grad()
def matched(seen: Seen, boxes: Tensor, pictures: Tensor, labels: Tensor) -> Match:
    """The patch of each object: all of a picture together cost least."""
    patches, scores = seen.boxes[pictures], seen.logits[pictures].sigmoid()
    own = scores.gather(2, labels[:, None, None].expand(-1, scores.shape[1], 1))[..., 0]
    costs = (box_cost(patches, boxes[:, None].expand_as(patches)) - SCORE * own).cpu().numpy()
    owners = pictures.cpu().numpy()
    chosen = np.concatenate([assign(costs[owners == one]) for one in np.unique(owners)]) if len(owners) else owners
    wanted = F.one_hot(labels, seen.logits.shape[-1]).to(scores)
    return Match(pictures, torch.from_numpy(chosen).to(pictures.device), wanted, boxes)


def moved(before: Seen, after: Seen, *, known: Tensor, known_queries: Tensor) -> Tensor:
    """How far the queries, boxes and embeddings of what is known lie from where the base had them."""
    queries = (1 - F.cosine_similarity(after.queries, before.queries, dim=-1))[known_queries]
    embeddings = (1 - F.cosine_similarity(after.embeddings[known], before.embeddings, dim=-1)).mean()
    return queries.sum() / max(1, len(queries)) + embeddings + (after.boxes[known] - before.boxes).abs().sum(-1).mean()
